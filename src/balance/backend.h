/* One server of a pool: address, weight, state, and how many sessions are on it.
 *
 * Shared by all workers: what changes is a few C11 atomics, the rest is const.
 */
#ifndef ZPROXY_BALANCE_BACKEND_H
#define ZPROXY_BALANCE_BACKEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"

struct backend {
    const struct config_server *conf; /* the configuration outlives it */
    _Atomic uint64_t active;          /* sessions, connecting ones counted */
    _Atomic uint64_t failure_logged;  /* when a failed connect was last logged, ms; 0: never */
    _Atomic uint64_t suppressed;      /* failed connects not logged since */
};

void backend_init(struct backend *b, const struct config_server *conf);

/* Whether new sessions may be sent there at all; a full server is still ready. */
bool backend_is_ready(const struct backend *b);

/* Takes a place for a session, unless the server is full. Every place taken is given back. */
bool backend_take(struct backend *b);
void backend_release(struct backend *b);

/* Whether a failed connect may be logged: one a second. now in ms. *suppressed: how many were not
 * logged since the last one. */
bool backend_may_log(struct backend *b, uint64_t now, uint64_t *suppressed);

#endif
