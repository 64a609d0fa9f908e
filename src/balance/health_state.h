/* The result of a server's checks so far: up or down, counts, and the last reason. */
#ifndef ZPROXY_BALANCE_HEALTH_STATE_H
#define ZPROXY_BALANCE_HEALTH_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "balance/pool.h"
#include "balance/probe.h"
#include "balance/server.h"

struct health_state {
    bool up;                 /* the conclusion, by rise and fall */
    bool settled;            /* false: the next check alone decides */
    bool passed;             /* the last check */
    uint64_t streak;         /* checks in a row with the last result; 0: no check yet */
    uint64_t successes;      /* of all checks */
    uint64_t failures;       /* of all checks */
    uint64_t checked;        /* ms, the end of the last check; 0: none */
    uint64_t changed;        /* ms, the last change of up; 0: none */
    uint64_t duration;       /* ms, of the last check */
    char why[PROBE_WHY_MAX]; /* how the last check ended: "connection refused", "HTTP 200" */
};

/* Before the first check. up: the conclusion until then. */
void health_state_init(struct health_state *state, bool up);

/* The next check alone decides, as the first one does. */
void health_state_unsettle(struct health_state *state);

/* Adds the result of a check. The server comes up after rise passed checks in a row, and goes down
 * after fall failed ones (both at least 1); the first check alone decides. Returns whether up
 * changed. */
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
