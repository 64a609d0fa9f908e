/* One relaying thread: a loop, listeners, sessions, pipes. Nothing of it is shared but what its
 * setup names. */
#ifndef ZPROXY_CONTROL_WORKER_H
#define ZPROXY_CONTROL_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/pipe.h"
#include "session/service.h"

struct worker;

/* Everything here outlives the worker. */
struct worker_setup {
    unsigned index;
    int cpu; /* pinned to it; -1: to none */
    bool splice;
    uint64_t busy_poll; /* us */
    int pipe_size;
    struct pipe_quota *quota;
    _Atomic uint64_t *last_session_id;
    void (*finished)(void *arg); /* from the worker's thread: drained, about to end */
    void *arg;
};

/* Sums for the log. */
struct worker_totals {
    uint64_t sessions;
    uint64_t spliced; /* bytes, both directions */
    uint64_t copied;
    uint64_t fallbacks;
};

/* Makes a worker that does not run yet. Returns 0 or -errno. */
int worker_new(struct worker **out, const struct worker_setup *setup);
/* The thread must have been joined, or never started. */
void worker_free(struct worker *w);

/* Gives it a listening socket of its own, before it starts. Takes fd over also on failure. Returns
 * 0 or -errno. */
int worker_listen(struct worker *w, int fd, struct service *service);

int worker_start(struct worker *w);
void worker_join(struct worker *w);

/* From any thread. Wake: there is room again, accept. Drain: accept no more, end when the last
 * session has ended. Abort: drain, and reset the sessions that are left. */
void worker_wake(struct worker *w);
void worker_drain(struct worker *w);
void worker_abort(struct worker *w);

/* Adds the worker's figures to the sum, from any thread. */
void worker_add_totals(const struct worker *w, struct worker_totals *sum);

#endif
