#include "session/throttle.h"

#include <stdlib.h>

bool throttle_is_wanted(const struct config_listen *c)
{
    return c->upload_rate != 0 || c->download_rate != 0;
}

struct throttle *throttle_new(const struct config_listen *c, uint64_t now)
{
    struct throttle *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    if (c->upload_rate != 0)
        bucket_init(&t->up.bucket, c->upload_rate, now);
    if (c->download_rate != 0)
        bucket_init(&t->down.bucket, c->download_rate, now);
    return t;
}

/* Before it is half full again nothing moves: a session that is woken by its other side should not
 * move a handful of bytes each time. */
void throttle_open(struct valve *v, struct flow *f, uint64_t now)
{
    if (v->bucket.rate == 0)
        return;
    uint64_t filled = bucket_fill(&v->bucket, now);
    v->open = now >= bucket_due(&v->bucket) ? filled : 0;
    f->allowed = v->open;
}

void throttle_close(struct valve *v, const struct flow *f)
{
    if (v->bucket.rate != 0)
        bucket_take(&v->bucket, v->open - f->allowed);
}

uint64_t throttle_due(const struct valve *v, const struct flow *f, const struct side *src)
{
    bool waits = v->bucket.rate != 0 && f->state == FLOW_FILL && f->allowed == 0 &&
                 side_is(src, SIDE_READABLE);
    return waits ? bucket_due(&v->bucket) : UINT64_MAX;
}
