/* A limit on sessions that all workers share: max_connections of the process or of a listener.
 *
 * A worker that finds it closed stops accepting, so the kernel's backlog holds the clients, and is
 * woken when a place is free again.
 */
#ifndef ZPROXY_SESSION_GATE_H
#define ZPROXY_SESSION_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "session/accept_state.h"

struct gate {
    _Atomic uint64_t limit; /* UINT64_MAX: none */
    _Atomic uint64_t inside;
    _Atomic int reason;      /* enum accept_reason: of a client that waits in front of it */
    _Atomic bool waiting;    /* someone found it closed since the last wake */
    void (*wake)(void *arg); /* called from any thread */
    void *arg;
};

/* limit 0: none. wake(arg) must make every worker try again. */
void gate_init(struct gate *g, uint64_t limit, void (*wake)(void *arg), void *arg);
/* What makes the limit; ACCEPT_MAX_CONNECTIONS unless it is set. */
void gate_set_reason(struct gate *g, enum accept_reason reason);
enum accept_reason gate_reason(const struct gate *g);

/* From any thread; those who are inside stay, even if there are more than the limit then. */
void gate_set_limit(struct gate *g, uint64_t limit);

/* Takes a place, to be given back with gate_leave(); or says no, and a wake will follow. */
bool gate_enter(struct gate *g);
/* Takes a place whether there is one or not. */
void gate_force(struct gate *g);
void gate_leave(struct gate *g);

/* UINT64_MAX: none. */
uint64_t gate_limit(const struct gate *g);
bool gate_is_full(const struct gate *g);
uint64_t gate_inside(const struct gate *g);

#endif
