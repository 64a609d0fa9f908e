/* Where workers stand still and wait for control. A semaphore must not go while somebody waits on
 * it, so each says when it has left. */
#ifndef ZPROXY_HANDOVER_WORKER_BARRIER_H
#define ZPROXY_HANDOVER_WORKER_BARRIER_H

#include <semaphore.h>
#include <stddef.h>

struct worker_barrier {
    sem_t arrived;
    sem_t released;
    sem_t left;
};

void worker_barrier_init(struct worker_barrier *h);
void worker_barrier_fini(struct worker_barrier *h);

/* For a worker: returns when control has it go on. */
void worker_barrier_wait(struct worker_barrier *h);

/* For control: until so many stand there; lets them all go, and sees them off. */
void worker_barrier_await(struct worker_barrier *h, size_t count);
void worker_barrier_release(struct worker_barrier *h, size_t count);

#endif
