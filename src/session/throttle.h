/* A session whose directions may move only so many bytes a second. */
#ifndef ZPROXY_SESSION_THROTTLE_H
#define ZPROXY_SESSION_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/bucket.h"
#include "relay/flow.h"
#include "session/service.h"

/* Of one direction; a rate of 0 is none. */
struct valve {
    struct bucket bucket;
    uint64_t open; /* what it was opened for */
};

struct throttle {
    struct valve up;
    struct valve down;
};

/* Whether the section limits anything. */
bool throttle_is_wanted(const struct config_listen *c);

/* The limits of the section, both buckets empty. NULL when out of memory. */
struct throttle *throttle_new(const struct config_listen *c, uint64_t now);

/* Before flow_pump(): what the flow may take; after it: what it has taken. */
void throttle_open(struct valve *v, struct flow *f, uint64_t now);
void throttle_close(struct valve *v, const struct flow *f);

/* When a flow that has something to take, and may not, may take it, ms; UINT64_MAX: that is not why
 * it waits. One that copies waits for its sink with an empty pipe as well: then it has been allowed
 * something, and no time makes a difference. */
uint64_t throttle_due(const struct valve *v, const struct flow *f, const struct side *src);

#endif
