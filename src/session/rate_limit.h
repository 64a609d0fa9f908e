/* The rate limits of a session: bytes a second in each direction (upload_rate, download_rate). For
 * the worker's thread. */
#ifndef ZPROXY_SESSION_RATE_LIMIT_H
#define ZPROXY_SESSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/flow.h"
#include "relay/token_bucket.h"
#include "session/frontend.h"

/* Of one direction; rate 0: no limit. */
struct rate_limit_flow {
    struct token_bucket token_bucket;
    uint64_t granted; /* bytes granted for this flow_pump() */
};

struct rate_limit {
    struct rate_limit_flow up;
    struct rate_limit_flow down;
};

/* Whether the section sets a limit. */
bool rate_limit_is_wanted(const struct config_listen *c);

/* Makes the limits of the section, both buckets empty. Returns NULL when out of memory. */
struct rate_limit *rate_limit_new(const struct config_listen *c, uint64_t now);

/* Grant sets f->allowed before flow_pump(); charge takes the bytes that it moved from the bucket.
 */
void rate_limit_grant(struct rate_limit_flow *r, struct flow *f, uint64_t now);
void rate_limit_charge(struct rate_limit_flow *r, const struct flow *f);

/* When a flow that waits for its limit may move again, ms; UINT64_MAX: it does not wait for the
 * limit. A flow that copies has an empty pipe also while it waits for its sink. It has bytes left
 * to move then, so it does not wait for the limit. */
uint64_t rate_limit_due(const struct rate_limit_flow *r, const struct flow *f,
                        const struct side *src);

#endif
