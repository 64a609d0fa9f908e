/* When a name is asked again. Pure arithmetic; times in ms. */
#ifndef ZPROXY_BALANCE_REFRESH_H
#define ZPROXY_BALANCE_REFRESH_H

#include <stdint.h>

struct refresh {
    uint64_t min;    /* resolve_min, at least 1 */
    uint64_t max;    /* resolve_max */
    uint64_t failed; /* how long was waited after the last failure; 0: there was none */
};

/* After an answer that holds for ttl seconds. */
uint64_t refresh_answered(struct refresh *r, uint32_t ttl);

/* After a failure, each wait twice as long as the one before. ttl: of what came nevertheless, for
 * which the wait is not longer than it would have been after an answer; UINT32_MAX: nothing. */
uint64_t refresh_failed(struct refresh *r, uint32_t ttl);

#endif
