/* A limit on sessions that all workers share: max_connections of the process or of a listener.
 *
 * A worker that finds it closed stops accepting, so the kernel's backlog holds the clients, and is
 * woken when a place is free again.
 */
#ifndef ZPROXY_SESSION_CONN_LIMIT_H
#define ZPROXY_SESSION_CONN_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/accept_state.h"

struct conn_limit {
    _Atomic uint64_t max; /* UINT64_MAX: none */
    _Atomic uint64_t used;
    _Atomic int reason;      /* enum accept_reason: of a client that waits in front of it */
    _Atomic bool waiting;    /* someone found it closed since the last wake */
    void (*wake)(void *arg); /* called from any thread */
    void *arg;
};

/* limit 0: none. wake(arg) must make every worker try again. */
void conn_limit_init(struct conn_limit *l, uint64_t max, void (*wake)(void *arg), void *arg);
/* What makes the limit; ACCEPT_MAX_CONNECTIONS unless it is set. */
void conn_limit_set_reason(struct conn_limit *l, enum accept_reason reason);
enum accept_reason conn_limit_reason(const struct conn_limit *l);

/* From any thread; those who are inside stay, even if there are more than the limit then. */
void conn_limit_set_max(struct conn_limit *l, uint64_t max);

/* Takes a place, to be given back with conn_limit_release(); or says no, and a wake will follow. */
bool conn_limit_acquire(struct conn_limit *l);
/* Takes a place whether there is one or not. */
void conn_limit_force(struct conn_limit *l);
void conn_limit_release(struct conn_limit *l);

/* UINT64_MAX: none. */
uint64_t conn_limit_max(const struct conn_limit *l);
bool conn_limit_is_full(const struct conn_limit *l);
uint64_t conn_limit_used(const struct conn_limit *l);

#endif
