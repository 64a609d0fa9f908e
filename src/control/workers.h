/* The workers, as one: how many there are, what all of them are told. For the control thread.
 *
 * A worker that is not needed any more finishes its sessions and is gone then.
 */
#ifndef ZPROXY_CONTROL_WORKERS_H
#define ZPROXY_CONTROL_WORKERS_H

#include <stdbool.h>
#include <stddef.h>

#include "control/worker.h"

struct workers {
    struct worker_setup setup; /* of each, but for index and cpu */
    bool pin;
    struct worker **worker; /* those at work first, then those that finish */
    size_t active;
    size_t finishing;
    size_t started; /* of those at work */
    unsigned next_index;
    struct worker_totals retired; /* of those that are gone */
};

/* setup as for worker_new(). pin: each to a usable CPU. */
void workers_init(struct workers *c, const struct worker_setup *setup, bool pin);
/* Aborts those that still run, and waits for the threads of all to end. No worker touches anything
 * that is shared any more; they can still be asked for their figures. */
void workers_stop(struct workers *c);
/* Stops them first. */
void workers_fini(struct workers *c);

/* Makes count more workers, not running yet. Returns 0, or -errno and there are as many as before.
 */
int workers_add(struct workers *c, size_t count);
/* Makes threads for those that do not run yet, so that their start cannot fail. Returns 0 or
 * -errno; after a failure there is nothing left but to end the process. */
int workers_spawn(struct workers *c);
/* Starts those that do not run yet. Returns 0 or -errno. */
int workers_start(struct workers *c);
/* Has the last count workers finish, or unmakes those that do not run; their sockets have been
 * taken from them. */
void workers_drain_last(struct workers *c, size_t count);

/* Those that run, whether at work or finishing. */
size_t workers_running(const struct workers *c);
struct worker *workers_at(const struct workers *c, size_t i);
void workers_each(struct workers *c, void (*call)(struct worker *w));

/* Has all know that another process has their sockets open as well, as from fork(2) to execve(2),
 * or that it has them no longer. Returns when they do, a wake-up of each later. */
void workers_set_shared(struct workers *c, bool shared);

/* Whether all that run have finished. */
bool workers_have_finished(const struct workers *c);
/* Joins and frees workers that have finished. */
void workers_reap(struct workers *c);

/* Adds all figures, also of workers that are gone. */
void workers_totals(const struct workers *c, struct worker_totals *sum);

#endif
