#include "metrics/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STAT_MAX 1024

void process_open(struct process_files *p)
{
    p->stat = open("/proc/self/stat", O_RDONLY | O_CLOEXEC);
    p->status = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
}

static void process_close_fd(int *fd)
{
    if (*fd != -1)
        close(*fd);
    *fd = -1;
}

void process_close(struct process_files *p)
{
    process_close_fd(&p->stat);
    process_close_fd(&p->status);
}

/* Reads the file from its beginning; "" if that fails. */
static void read_text(int fd, char text[STAT_MAX])
{
    ssize_t n = fd == -1 ? -1 : pread(fd, text, STAT_MAX - 1, 0);
    text[n > 0 ? n : 0] = '\0';
}

/* proc(5): the fields of "stat" follow the name, which is in parentheses and may contain some. */
static void read_stat(const struct process_files *p, struct process_stats *f)
{
    char text[STAT_MAX];
    read_text(p->stat, text);
    const char *at = strrchr(text, ')');
    unsigned long long started = 0;
    unsigned long long size = 0;
    unsigned long long pages = 0;
    if (at == NULL || sscanf(at + 1,
                             " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
                             "%*s %*s %*s %llu %llu %llu",
                             &started, &size, &pages) != 3)
        return;
    struct timespec now;
    struct timespec up;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &up);
    f->start_time = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
                    (double)started / (double)sysconf(_SC_CLK_TCK);
    f->virtual_size = size;
    f->resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_fds_by_readdir(void)
{
    DIR *d = opendir("/proc/self/fd");
    uint64_t n = 0;
    if (d == NULL)
        return PROCESS_UNKNOWN;
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 3; /* "." and ".." and d itself */
}

/* In a chroot: tests each number up to FDSize, the size of the descriptor table. */
static uint64_t count_fds_by_fcntl(const struct process_files *p)
{
    char text[STAT_MAX];
    read_text(p->status, text);
    const char *at = strstr(text, "\nFDSize:");
    long size = at == NULL ? 0 : strtol(at + sizeof "\nFDSize:" - 1, NULL, 10);
    uint64_t n = 0;
    for (long fd = 0; fd < size; fd++)
        n += fcntl((int)fd, F_GETFD) != -1;
    return size > 0 ? n : PROCESS_UNKNOWN;
}

/* Since Linux 6.2 the size of /proc/self/fd is the number of descriptors; older kernels report 0,
 * and the entries are counted. */
static uint64_t process_count_fds(const struct process_files *p)
{
    struct stat st;
    if (stat("/proc/self/fd", &st) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    uint64_t n = count_fds_by_readdir();
    return n != PROCESS_UNKNOWN ? n : count_fds_by_fcntl(p);
}

void process_read(const struct process_files *p, struct process_stats *f)
{
    struct timespec used = { 0, 0 };
    struct rlimit limit;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    *f = (struct process_stats){
        .cpu = (double)used.tv_sec + (double)used.tv_nsec / 1e9,
        .virtual_size = PROCESS_UNKNOWN,
        .resident = PROCESS_UNKNOWN,
        .open_fds = PROCESS_UNKNOWN,
        .max_fds = PROCESS_UNKNOWN,
    };
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        f->max_fds = limit.rlim_cur;
    read_stat(p, f);
    f->open_fds = process_count_fds(p);
}
