/* One relaying thread: a loop, listeners, sessions, pipes. Nothing of it is shared but what its
 * setup names. */
#ifndef ZPROXY_CONTROL_WORKER_H
#define ZPROXY_CONTROL_WORKER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/grace.h"
#include "control/mailbox.h"
#include "relay/pipe.h"
#include "session/frontend.h"
#include "session/session.h"

struct worker;
struct listener;

/* Everything here outlives the worker. */
struct worker_setup {
    unsigned index;
    int cpu; /* pinned to it; -1: to none */
    bool splice;
    enum busy_poll_mode busy_poll;
    uint64_t busy_poll_us; /* how long one is */
    int pipe_size;
    struct pipe_quota *quota;
    struct grace *grace;
    _Atomic uint64_t *last_session_id;
    void (*finished)(void *arg); /* from the worker's thread: drained, about to end */
    void *arg;
    void (*accept_paused)(void *arg); /* likewise: a listener does not accept */
    void *accept_paused_arg;
};

/* Sums for the log and the metrics. Also travels between processes (estate.h). */
struct worker_totals {
    uint64_t sessions;
    uint64_t ends[SESSION_ENDS];
    uint64_t bytes[RELAY_PATHS][RELAY_DIRECTIONS];
    uint64_t fallbacks[RELAY_FALLBACKS];
    struct histogram_totals histogram[SESSION_HISTOGRAMS];
};

/* What a worker has just now. */
struct worker_stats {
    unsigned index;
    uint64_t sessions;
    uint64_t pipes_idle;
    uint64_t pipes_used;
    uint64_t pipe_bytes; /* that they may hold */
    uint64_t cpu;        /* ns that its thread has been at work */
};

/* Sets busy_poll and busy_poll_us by the key of [global]. */
void worker_setup_busy_poll(struct worker_setup *setup, uint64_t busy_poll);

/* Makes a worker that does not run yet. Returns 0 or -errno. */
int worker_new(struct worker **out, const struct worker_setup *setup);
/* Aborts it and joins its thread, if it has one: also one that waits for its start. */
void worker_stop(struct worker *w);
/* Stops it first. From then on no thread wakes it: its mailbox is closed, no session of it stands
 * in a queue, and the grace period has one reader less. NULL is allowed. */
void worker_free(struct worker *w);

/* listener_open() among the listeners of this worker. Before the worker starts or on its thread,
 * like every call about one of its listeners. */
void worker_listen(struct worker *w, struct listener *l, int fd, struct frontend *frontend);

/* Recruit: it has a thread, which waits for the start. Start: recruits it, if need be, and lets it
 * run; what has been recruited starts without fail. Return 0 or -errno. */
int worker_spawn(struct worker *w);
int worker_start(struct worker *w);
/* Waits for its thread to end, if it has one. May be called twice. */
void worker_join(struct worker *w);

/* From any thread. Wake: there is room again, accept. Drain: accept no more, end when the last
 * session has ended. Abort: drain, and reset the sessions that are left. */
void worker_wake(struct worker *w);
void worker_drain(struct worker *w);
void worker_abort(struct worker *w);

/* Has l->run(l, worker) called on the worker's thread, soon. Returns false when it has finished:
 * then nobody calls it. */
bool worker_post(struct worker *w, struct worker_message *l);

struct sessions *worker_sessions(struct worker *w);

/* As its setup has it, and the log. */
unsigned worker_index(const struct worker *w);

bool worker_has_finished(const struct worker *w);

/* Adds the worker's figures to the sum, from any thread. */
void worker_add_totals(const struct worker *w, struct worker_totals *sum);

uint64_t worker_totals_bytes(const struct worker_totals *sum, enum relay_path path);
uint64_t worker_totals_fallbacks(const struct worker_totals *sum);

/* For the control thread; the worker has been started. */
void worker_stats(const struct worker *w, struct worker_stats *state);

#endif
