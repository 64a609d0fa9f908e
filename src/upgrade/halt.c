#include "upgrade/halt.h"

void halt_init(struct halt *h)
{
    sem_init(&h->arrived, 0, 0);
    sem_init(&h->go_on, 0, 0);
    sem_init(&h->left, 0, 0);
}

void halt_fini(struct halt *h)
{
    sem_destroy(&h->arrived);
    sem_destroy(&h->go_on);
    sem_destroy(&h->left);
}

/* Control takes signals, which may interrupt it. */
static void await(sem_t *s)
{
    while (sem_wait(s) == -1)
        ;
}

void halt_here(struct halt *h)
{
    sem_post(&h->arrived);
    await(&h->go_on);
    sem_post(&h->left);
}

void halt_await(struct halt *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        await(&h->arrived);
}

void halt_end(struct halt *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sem_post(&h->go_on);
    for (size_t i = 0; i < count; i++)
        await(&h->left);
}
