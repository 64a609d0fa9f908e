/* What the kernel knows of this process: the figures that Prometheus calls process_*. */
#ifndef ZPROXY_METRICS_PROCESS_H
#define ZPROXY_METRICS_PROCESS_H

#include <stdint.h>

#define PROCESS_UNKNOWN UINT64_MAX

struct process_figures {
    double cpu;            /* seconds, of all threads */
    double began;          /* seconds since the epoch */
    uint64_t virtual_size; /* bytes; these four may be PROCESS_UNKNOWN */
    uint64_t resident;     /* bytes */
    uint64_t descriptors;  /* open */
    uint64_t descriptors_max;
};

/* Keeps /proc/self in reach, which chroot hides. Returns a descriptor for process_read(), or -1:
 * then some figures will be unknown. */
int process_open(void);

void process_read(int dir, struct process_figures *f);

#endif
