/* What the kernel knows of this process: the figures that Prometheus calls process_*. */
#ifndef ZPROXY_METRICS_PROCESS_H
#define ZPROXY_METRICS_PROCESS_H

#include <stdint.h>

#define PROCESS_UNKNOWN UINT64_MAX

struct process_stats {
    double cpu;            /* seconds, of all threads */
    double start_time;     /* seconds since the epoch */
    uint64_t virtual_size; /* bytes; these four may be PROCESS_UNKNOWN */
    uint64_t resident;     /* bytes */
    uint64_t open_fds;     /* open */
    uint64_t max_fds;
};

/* Files of /proc/self, which chroot(2) hides: files alone, since a directory would be a way out.
 * -1: not there, and some figures will be unknown. */
struct process_files {
    int stat;
    int status;
};

void process_open(struct process_files *p);
void process_close(struct process_files *p);

void process_read(const struct process_files *p, struct process_stats *f);

#endif
