#include "usage.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static uint64_t clock_ns(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) == -1)
        return 0;
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t usage_now(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

/* The kernel keeps idle time by the clock, unlike user, system and softirq time, which it samples
 * at the tick: what is busy is better learned as what is not idle. */
static uint64_t core_idle(const char *stat, int core)
{
    unsigned long long v[8];
    char name[16];
    const char *line;

    snprintf(name, sizeof(name), "\ncpu%d ", core);
    if (core < 0 || (line = strstr(stat, name)) == NULL)
        return 0;
    /* user nice system idle iowait irq softirq steal */
    if (sscanf(line + strlen(name), "%llu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2],
               &v[3], &v[4], &v[5], &v[6], &v[7]) != 8)
        return 0;
    return (v[3] + v[4] + v[7]) * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
}

void usage_take(struct usage *u, const pid_t *pids, size_t count, int core, int load_core)
{
    char stat[65536];
    clockid_t id;
    ssize_t n;
    int fd;

    u->when = usage_now();
    u->load = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    u->tested = 0;
    for (size_t i = 0; i < count; i++) {
        if (clock_getcpuclockid(pids[i], &id) == 0)
            u->tested += clock_ns(id);
    }
    n = 0;
    if ((fd = open("/proc/stat", O_RDONLY | O_CLOEXEC)) != -1) {
        n = read(fd, stat, sizeof(stat) - 1);
        close(fd);
    }
    stat[n > 0 ? n : 0] = '\0';
    u->idle = core_idle(stat, core);
    u->load_idle = core_idle(stat, load_core);
}
