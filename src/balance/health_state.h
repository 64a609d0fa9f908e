/* What the checks of a server have found, and what follows from it. */
#ifndef ZPROXY_BALANCE_HEALTH_STATE_H
#define ZPROXY_BALANCE_HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/pool.h"
#include "balance/probe.h"
#include "balance/server.h"

struct health_state {
    bool up;                 /* what has been concluded */
    bool settled;            /* the next state decides alone while this is false */
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
void health_state_init(struct health_state *state, bool up);

/* The next state decides alone, as the first one does. */
void health_state_unsettle(struct health_state *state);

/* A check has ended. It takes rise passed in a row to come up, fall failed ones to go down (both at
 * least 1), the first one alone excepted. Returns whether up has changed. */
bool health_state_add(struct health_state *state, bool passed, uint64_t rise, uint64_t fall,
                      uint64_t now);

/* Logs that the server went up or down: state->up and state->why; and that the pool has no server
 * up any more, or has one again. */
void health_state_log_changed(const struct pool *p, const struct server *srv,
                              const struct health_state *state);

/* Logs a failed check at level debug, whatever follows from it. */
void health_state_log_failed(const struct pool *p, const struct server *srv,
                             const struct health_state *state);

#endif
