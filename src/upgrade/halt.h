/* Where workers stand still and wait for control. A semaphore must not go while somebody waits on
 * it, so each says when it has left. */
#ifndef ZPROXY_UPGRADE_HALT_H
#define ZPROXY_UPGRADE_HALT_H

#include <semaphore.h>
#include <stddef.h>

struct halt {
    sem_t arrived;
    sem_t go_on;
    sem_t left;
};

void halt_init(struct halt *h);
void halt_fini(struct halt *h);

/* For a worker: returns when control has it go on. */
void halt_here(struct halt *h);

/* For control: until so many stand there; lets them all go, and sees them off. */
void halt_await(struct halt *h, size_t count);
void halt_end(struct halt *h, size_t count);

#endif
