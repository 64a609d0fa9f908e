/* When a name is asked again. Pure arithmetic; times in ms, TTLs in seconds. */
#ifndef ZPROXY_BALANCE_REFRESH_H
#define ZPROXY_BALANCE_REFRESH_H

#include <stdint.h>

#define REFRESH_RETRIES 5 /* the longest wait after failures, in resolve_retry */

struct refresh {
    uint64_t min;   /* resolve_min, at least 1 */
    uint64_t max;   /* resolve_max */
    uint64_t retry; /* resolve_retry, at least 1 */
    uint64_t hold;  /* resolve_hold; 0: for ever */
};

/* After an answer that holds for ttl. */
uint64_t refresh_answered(const struct refresh *r, uint32_t ttl);

/* After an answer that says that there is nothing, which holds for ttl. */
uint64_t refresh_empty(const struct refresh *r, uint32_t ttl);

/* After a failure, each wait twice as long as the one before, which *last has; 0: the first one. */
uint64_t refresh_failed(const struct refresh *r, uint64_t *last);

#endif
