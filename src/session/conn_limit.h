/* A limit on sessions that all workers share: max_connections of the process or of a listener.
 *
 * A worker that gets no slot stops accepting: the kernel's backlog holds the clients. The worker is
 * woken when a slot is released.
 */
#ifndef ZPROXY_SESSION_CONN_LIMIT_H
#define ZPROXY_SESSION_CONN_LIMIT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/accept_state.h"

struct conn_limit {
    _Atomic uint64_t max; /* UINT64_MAX: no limit */
    _Atomic uint64_t used;
    _Atomic int reason;      /* enum accept_reason: why listeners pause at the limit */
    _Atomic bool waiting;    /* a worker got no slot since the last wake */
    void (*wake)(void *arg); /* called from any thread */
    void *arg;
};

/* max 0: no limit. wake(arg) must make every worker try again. */
void conn_limit_init(struct conn_limit *l, uint64_t max, void (*wake)(void *arg), void *arg);
/* The reason of pauses at this limit; initially ACCEPT_MAX_CONNECTIONS. */
void conn_limit_set_reason(struct conn_limit *l, enum accept_reason reason);
enum accept_reason conn_limit_reason(const struct conn_limit *l);

/* From any thread. Sessions above a lower limit stay. */
void conn_limit_set_max(struct conn_limit *l, uint64_t max);

/* Acquires a slot, which conn_limit_release() releases. Returns false if there is none; then wake()
 * is called when a slot is released. */
bool conn_limit_acquire(struct conn_limit *l);
/* Acquires a slot even above the limit. */
void conn_limit_force(struct conn_limit *l);
void conn_limit_release(struct conn_limit *l);

/* UINT64_MAX: no limit. */
uint64_t conn_limit_max(const struct conn_limit *l);
bool conn_limit_is_full(const struct conn_limit *l);
uint64_t conn_limit_used(const struct conn_limit *l);

#endif
