#include "session/rate_limit.h"

#include <stdlib.h>

bool rate_limit_is_wanted(const struct config_listen *c)
{
    return c->upload_rate != 0 || c->download_rate != 0;
}

struct rate_limit *rate_limit_new(const struct config_listen *c, uint64_t now)
{
    struct rate_limit *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    if (c->upload_rate != 0)
        token_bucket_init(&t->up.token_bucket, c->upload_rate, now);
    if (c->download_rate != 0)
        token_bucket_init(&t->down.token_bucket, c->download_rate, now);
    return t;
}

/* Grants nothing before the bucket is half full: a session that its other side wakes should not
 * move a few bytes each time. */
void rate_limit_grant(struct rate_limit_flow *r, struct flow *f, uint64_t now)
{
    if (r->token_bucket.rate == 0)
        return;
    uint64_t filled = token_bucket_refill(&r->token_bucket, now);
    r->granted = now >= token_bucket_due(&r->token_bucket) ? filled : 0;
    f->allowed = r->granted;
}

void rate_limit_charge(struct rate_limit_flow *r, const struct flow *f)
{
    if (r->token_bucket.rate != 0)
        token_bucket_take(&r->token_bucket, r->granted - f->allowed);
}

uint64_t rate_limit_due(const struct rate_limit_flow *r, const struct flow *f,
                        const struct side *src)
{
    bool waits = r->token_bucket.rate != 0 && f->state == FLOW_FILL && f->allowed == 0 &&
                 side_is(src, SIDE_READABLE);
    return waits ? token_bucket_due(&r->token_bucket) : UINT64_MAX;
}
