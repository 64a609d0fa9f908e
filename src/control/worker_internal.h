/* What worker.c and worker_loop.c share: a worker. */
#ifndef ZPROXY_CONTROL_WORKER_INTERNAL_H
#define ZPROXY_CONTROL_WORKER_INTERNAL_H

#include <pthread.h>
#include <semaphore.h>
#include <uv.h>

#include "control/worker.h"
#include "relay/event_set.h"
#include "session/listener.h"

enum worker_order {
    WORKER_RELAY,
    WORKER_DRAIN,
    WORKER_ABORT,
};

/* The loop and its handles. Those of the listeners are in their struct listener. */
struct worker_loop {
    uv_loop_t uv;
    uv_async_t async;
    uv_poll_t events; /* watches the event set */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* while it is started, the loop does not sleep */
    uv_timer_t timer;
    uint64_t timer_at; /* ms: when timer runs out; UINT64_MAX: it is stopped */
    bool looked;       /* the event set has been checked in this wake-up */
};

struct worker {
    struct worker_setup setup;
    pthread_t thread;
    sem_t start;     /* the thread waits for it before it runs the loop */
    bool has_thread; /* not joined yet */
    struct worker_loop loop;
    uint64_t aborted_at; /* ms: when the worker read WORKER_ABORT; UINT64_MAX: not yet */
    struct event_set set;
    struct sessions sessions;
    struct listeners listeners;
    struct grace_reader reader;
    struct mailbox mailbox;
    _Atomic bool finished;
    _Atomic int order; /* enum worker_order; written by any thread */
};

/* Initializes the loop and the event set. Returns 0 or -errno. */
int worker_loop_init(struct worker *w);
/* Must be called after listeners_fini(). */
void worker_loop_fini(struct worker *w);

/* Runs until the worker drains and its last session has ended. */
void worker_loop_run(struct worker *w);

#endif
