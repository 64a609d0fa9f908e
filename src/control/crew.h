/* The workers, as one: how many there are, what all of them are told. For the control thread.
 *
 * A worker that is not needed any more finishes its sessions and is gone then.
 */
#ifndef ZPROXY_CONTROL_CREW_H
#define ZPROXY_CONTROL_CREW_H

#include <stdbool.h>
#include <stddef.h>

#include "control/worker.h"

struct crew {
    struct worker_setup setup; /* of each, but for index and cpu */
    bool pin;
    struct worker **worker; /* those at work first, then those that finish */
    size_t at_work;
    size_t finishing;
    size_t started; /* of those at work */
    unsigned next_index;
    struct worker_totals past; /* of those that are gone */
};

/* setup as for worker_new(). pin: each to a usable CPU. */
void crew_init(struct crew *c, const struct worker_setup *setup, bool pin);
/* Aborts those that still run, and waits for the threads of all to end. No worker touches anything
 * that is shared any more; they can still be asked for their figures. */
void crew_stop(struct crew *c);
/* Stops them first. */
void crew_fini(struct crew *c);

/* Makes count more workers, not running yet. Returns 0, or -errno and there are as many as before.
 */
int crew_add(struct crew *c, size_t count);
/* Unmakes the last count workers, which do not run. */
void crew_drop(struct crew *c, size_t count);
/* Makes threads for those that do not run yet, so that their start cannot fail. Returns 0 or
 * -errno; after a failure there is nothing left but to end the process. */
int crew_recruit(struct crew *c);
/* Starts those that do not run yet. Returns 0 or -errno. */
int crew_start(struct crew *c);
/* Has the last count workers finish, or unmakes those that do not run; their sockets have been
 * taken from them. */
void crew_dismiss(struct crew *c, size_t count);

/* Those that run, whether at work or finishing. */
size_t crew_running(const struct crew *c);
struct worker *crew_worker(const struct crew *c, size_t i);
void crew_each(struct crew *c, void (*call)(struct worker *w));

/* Has all know that another process has their sockets open as well, as from fork(2) to execve(2),
 * or that it has them no longer. Returns when they do, a wake-up of each later. */
void crew_share(struct crew *c, bool shared);

/* Whether all that run have finished. */
bool crew_has_finished(const struct crew *c);
/* Joins and frees workers that have finished. */
void crew_reap(struct crew *c);

/* Adds all figures, also of workers that are gone. */
void crew_totals(const struct crew *c, struct worker_totals *sum);

#endif
