/* The process_* metrics of Prometheus, from the kernel. For the control thread. */
#ifndef ZPROXY_METRICS_PROCESS_H
#define ZPROXY_METRICS_PROCESS_H

#include <stdint.h>

#define PROCESS_UNKNOWN UINT64_MAX

struct process_stats {
    double cpu;            /* seconds, of all threads */
    double start_time;     /* seconds since the epoch; 0: unknown */
    uint64_t virtual_size; /* bytes; this and the next three may be PROCESS_UNKNOWN */
    uint64_t resident;     /* bytes */
    uint64_t open_fds;
    uint64_t max_fds;
};

/* Files of /proc/self, opened before chroot(2) hides them. No directory is kept open, since a
 * process could leave the chroot by it. -1: not available, and some figures are unknown. */
struct process_files {
    int stat;
    int status;
};

/* process_open() is called before chroot(2). */
void process_open(struct process_files *p);
void process_close(struct process_files *p);

void process_read(const struct process_files *p, struct process_stats *f);

#endif
