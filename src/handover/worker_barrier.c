#include "handover/worker_barrier.h"

void worker_barrier_init(struct worker_barrier *h)
{
    sem_init(&h->arrived, 0, 0);
    sem_init(&h->released, 0, 0);
    sem_init(&h->left, 0, 0);
}

void worker_barrier_fini(struct worker_barrier *h)
{
    sem_destroy(&h->arrived);
    sem_destroy(&h->released);
    sem_destroy(&h->left);
}

/* Control takes signals, which may interrupt it. */
static void wait_semaphore(sem_t *s)
{
    while (sem_wait(s) == -1)
        ;
}

void worker_barrier_wait(struct worker_barrier *h)
{
    sem_post(&h->arrived);
    wait_semaphore(&h->released);
    sem_post(&h->left);
}

void worker_barrier_await(struct worker_barrier *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wait_semaphore(&h->arrived);
}

void worker_barrier_release(struct worker_barrier *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sem_post(&h->released);
    for (size_t i = 0; i < count; i++)
        wait_semaphore(&h->left);
}
