/* All workers: starts and ends them, and sends messages to all of them. A worker that a reload has
 * made superfluous finishes its sessions and is then freed. For the control thread. */
#ifndef ZPROXY_CONTROL_WORKERS_H
#define ZPROXY_CONTROL_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/worker.h"

struct workers {
    struct worker_setup setup; /* of each worker, except index and cpu */
    bool pin;
    struct worker **worker; /* the active ones first, then those that finish their sessions */
    size_t active;
    size_t finishing;
    size_t started; /* of the active ones */
    unsigned next_index;
    struct worker_totals retired; /* of workers that have been freed */
};

/* setup as for worker_new(). pin: pin each worker to a usable CPU. */
void workers_init(struct workers *ws, const struct worker_setup *setup, bool pin);
/* Aborts the workers that run and joins all threads. After that no worker uses shared memory, and
 * workers_totals() still works. */
void workers_stop(struct workers *ws);
/* Stops the workers, then frees them. */
void workers_fini(struct workers *ws);

/* Makes count more workers, not started. Returns 0; or -errno: none was made. */
int workers_add(struct workers *ws, size_t count);
/* Makes threads for the workers that are not started, so that workers_start() cannot fail. Returns
 * 0 or -errno; after a failure the caller must end the process. */
int workers_spawn(struct workers *ws);
/* Starts the workers that are not started. Returns 0 or -errno. */
int workers_start(struct workers *ws);
/* Drains the last count workers, or frees those that are not started. They must not have listening
 * sockets. */
void workers_drain_last(struct workers *ws, size_t count);

/* The workers that run, active or finishing. */
size_t workers_running(const struct workers *ws);
struct worker *workers_at(const struct workers *ws, size_t i);
void workers_each(struct workers *ws, void (*call)(struct worker *w));

/* Notifies all workers that another process has their sockets open too (as between fork(2) and
 * execve(2)), or that it no longer has. Returns when every worker has handled the message, in its
 * next wake-up. */
void workers_set_shared(struct workers *ws, bool shared);

/* Whether all workers that run have finished. */
bool workers_have_finished(const struct workers *ws);
/* Joins and frees the workers that have finished. */
void workers_reap(struct workers *ws);

/* Sums the figures of all workers, also of those that have been freed. */
void workers_totals(const struct workers *ws, struct worker_totals *sum);

#endif
