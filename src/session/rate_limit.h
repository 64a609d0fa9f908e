/* A session whose directions may move only so many bytes a second. */
#ifndef ZPROXY_SESSION_RATE_LIMIT_H
#define ZPROXY_SESSION_RATE_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/flow.h"
#include "relay/token_bucket.h"
#include "session/frontend.h"

/* Of one direction; a rate of 0 is none. */
struct rate_limit_flow {
    struct token_bucket token_bucket;
    uint64_t granted; /* what it was opened for */
};

struct rate_limit {
    struct rate_limit_flow up;
    struct rate_limit_flow down;
};

/* Whether the section limits anything. */
bool rate_limit_is_wanted(const struct config_listen *c);

/* The limits of the section, both buckets empty. NULL when out of memory. */
struct rate_limit *rate_limit_new(const struct config_listen *c, uint64_t now);

/* Before flow_pump(): what the flow may take; after it: what it has taken. */
void rate_limit_grant(struct rate_limit_flow *v, struct flow *f, uint64_t now);
void rate_limit_charge(struct rate_limit_flow *v, const struct flow *f);

/* When a flow that has something to take, and may not, may take it, ms; UINT64_MAX: that is not why
 * it waits. One that copies waits for its sink with an empty pipe as well: then it has been allowed
 * something, and no time makes a difference. */
uint64_t rate_limit_due(const struct rate_limit_flow *v, const struct flow *f,
                        const struct side *src);

#endif
