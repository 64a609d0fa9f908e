/* Processor time at one moment: of the processes under test, of the core they are pinned to, and
 * of the load itself. Two of these, subtracted, are the price of what happened between them. */
#ifndef BENCH_USAGE_H
#define BENCH_USAGE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct usage {
    uint64_t when;      /* ns, monotonic; so are the others, since some fixed moment */
    uint64_t tested;    /* all threads of the processes under test, to the nanosecond */
    uint64_t load;      /* this process */
    uint64_t idle;      /* of the core: idle or taken away by the hypervisor; steps of 10 ms */
    uint64_t load_idle; /* the same of the load's core */
};

uint64_t usage_now(void);

/* A core below 0 is not watched. A process that has ended no longer counts. */
void usage_take(struct usage *u, const pid_t *pids, size_t count, int core, int load_core);

#endif
