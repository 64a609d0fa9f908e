/* What the checks of a server have found, and what follows from it. */
#ifndef ZPROXY_BALANCE_CHECK_RESULT_H
#define ZPROXY_BALANCE_CHECK_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/probe.h"

struct check_result {
    bool up;                 /* what has been concluded */
    bool settled;            /* the next result decides alone while this is false */
    bool passed;             /* the last check */
    uint64_t streak;         /* checks in a row that ended like the last one; 0: there was none */
    uint64_t successes;      /* of all checks */
    uint64_t failures;       /* of all checks */
    uint64_t checked;        /* ms, when the last check ended; 0: there was none */
    uint64_t changed;        /* ms, since when up has been what it is; 0: always */
    uint64_t duration;       /* ms, of the last check */
    char why[PROBE_WHY_MAX]; /* how the last check ended: "connection refused", "HTTP 200" */
};

/* Nothing is known yet; up until a check says otherwise. */
void check_result_init(struct check_result *result, bool up);

/* The next result decides alone, as the first one does. */
void check_result_unsettle(struct check_result *result);

/* A check has ended. It takes rise passed in a row to come up, fall failed ones to go down (both at
 * least 1), the first one alone excepted. Returns whether up has changed. */
bool check_result_add(struct check_result *result, bool passed, uint64_t rise, uint64_t fall,
                      uint64_t now);

#endif
