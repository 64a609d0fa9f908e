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

int process_open(void)
{
    return open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* proc(5): the fields of "stat" behind the name, which may have blanks and brackets. */
static void read_stat(int dir, struct process_figures *f)
{
    char text[STAT_MAX];
    int fd = openat(dir, "stat", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd == -1 ? -1 : read(fd, text, sizeof text - 1);
    if (fd != -1)
        close(fd);
    if (n <= 0)
        return;
    text[n] = '\0';
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
    f->began = (double)(now.tv_sec - up.tv_sec) + (double)(now.tv_nsec - up.tv_nsec) / 1e9 +
               (double)started / (double)sysconf(_SC_CLK_TCK);
    f->virtual_size = size;
    f->resident = pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_entries(int dir)
{
    int fd = openat(dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd == -1 ? NULL : fdopendir(fd);
    uint64_t n = 0;
    if (d == NULL) {
        if (fd != -1)
            close(fd);
        return PROCESS_UNKNOWN;
    }
    while (readdir(d) != NULL)
        n++;
    closedir(d);
    return n - 3; /* "." and ".." and d itself */
}

/* Since Linux 6.2 the size of the directory is the number of descriptors; before, they have to be
 * counted. */
static uint64_t count_descriptors(int dir)
{
    struct stat st;
    if (fstatat(dir, "fd", &st, 0) == 0 && st.st_size > 0)
        return (uint64_t)st.st_size;
    return count_entries(dir);
}

void process_read(int dir, struct process_figures *f)
{
    struct timespec used = { 0, 0 };
    struct rlimit limit;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    *f = (struct process_figures){
        .cpu = (double)used.tv_sec + (double)used.tv_nsec / 1e9,
        .virtual_size = PROCESS_UNKNOWN,
        .resident = PROCESS_UNKNOWN,
        .descriptors = PROCESS_UNKNOWN,
        .descriptors_max = PROCESS_UNKNOWN,
    };
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        f->descriptors_max = limit.rlim_cur;
    if (dir == -1)
        return;
    read_stat(dir, f);
    f->descriptors = count_descriptors(dir);
}
