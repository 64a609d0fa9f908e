/* A worker: a thread that relays, with its own loop, listeners, sessions and pipes. It shares only
 * what its setup names. For the control thread, unless a function says otherwise. */
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

/* The objects named here must outlive the worker. */
struct worker_setup {
    unsigned index;
    int cpu; /* the worker is pinned to it; -1: not pinned */
    bool splice;
    enum busy_poll_mode busy_poll;
    uint64_t busy_poll_us; /* length of a busy poll */
    int pipe_size;
    struct pipe_quota *quota;
    struct grace *grace;
    _Atomic uint64_t *last_session_id;
    void (*finished)(void *arg); /* called on the worker's thread when it is about to end */
    void *arg;
    void (*accept_paused)(void *arg); /* called on the worker's thread when a listener has paused */
    void *accept_paused_arg;
};

/* Sums for the log and the metrics. They are sent in a handover. */
struct worker_totals {
    uint64_t sessions;
    uint64_t ends[SESSION_ENDS];
    uint64_t bytes[RELAY_PATHS][RELAY_DIRECTIONS];
    uint64_t fallbacks[RELAY_FALLBACKS];
    uint64_t tls_kernel;
    uint64_t tls_user[TLS_USER_REASONS];
    uint64_t bad_records;
    struct histogram_totals histogram[SESSION_HISTOGRAMS];
};

/* The state of a worker at this moment. */
struct worker_stats {
    unsigned index;
    uint64_t sessions;
    uint64_t pipes_idle;
    uint64_t pipes_used;
    uint64_t pipe_bytes; /* the capacity of all its pipes */
    uint64_t cpu;        /* CPU time of its thread, ns */
};

/* Sets busy_poll and busy_poll_us by the key of [global]. */
void worker_setup_busy_poll(struct worker_setup *setup, uint64_t busy_poll);

/* Makes a worker without a thread. Returns 0 or -errno. */
int worker_new(struct worker **out, const struct worker_setup *setup);
/* Aborts the worker and joins its thread, if it has one (worker_spawn()), even if it was never
 * started. */
void worker_stop(struct worker *w);
/* Stops the worker, then frees it. No other thread can wake it then: its mailbox is closed, none of
 * its sessions is in a pool's queue, and it is unregistered from the grace period. w may be NULL.
 */
void worker_free(struct worker *w);

/* Calls listener_open() for the listeners of this worker. Must be called before the worker starts
 * or on its thread, like every function for one of its listeners. */
void worker_listen(struct worker *w, struct listener *l, int fd, struct frontend *frontend);

/* Spawn makes the thread, which waits for worker_start(). Start lets the thread run; if there is no
 * thread yet, it makes one, which may fail. Return 0 or -errno. */
int worker_spawn(struct worker *w);
int worker_start(struct worker *w);
/* Waits until the thread has ended. Without a thread, or after a join, it does nothing. */
void worker_join(struct worker *w);

/* From any thread. Wake makes the loop run, and paused listeners try to accept again. Drain makes
 * the worker accept no more clients and end after its last session. Abort also resets its sessions.
 */
void worker_wake(struct worker *w);
void worker_drain(struct worker *w);
void worker_abort(struct worker *w);

/* Posts a message: l->run(l, worker) is called on the worker's thread. From any thread. Returns
 * false if the worker has finished; then run is not called. */
bool worker_post(struct worker *w, struct worker_message *l);

struct sessions *worker_sessions(struct worker *w);

/* While its thread waits, after a handover: closes its listening sockets, which the new process
 * has open. */
void worker_abandon_listeners(struct worker *w);

/* On its thread, after a handover: drops what the new process has, which are the listeners and all
 * sessions but those that session_record_stays(). The worker ends after its last session. */
void worker_keep_rest(struct worker *w);

/* The index in its setup, by which the log names the worker. */
unsigned worker_index(const struct worker *w);

bool worker_has_finished(const struct worker *w);

/* Adds the worker's figures to the sum. From any thread. */
void worker_add_totals(const struct worker *w, struct worker_totals *sum);

uint64_t worker_totals_bytes(const struct worker_totals *sum, enum relay_path path);
uint64_t worker_totals_fallbacks(const struct worker_totals *sum);

/* TLS connections that stayed in user space. */
uint64_t worker_totals_tls_user(const struct worker_totals *sum);

/* Must be called after the start. */
void worker_stats(const struct worker *w, struct worker_stats *state);

#endif
