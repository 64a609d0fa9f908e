#include "control/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int pid_file_init(struct pid_file *f, const char *path)
{
    f->fd = -1;
    f->path = path == NULL ? NULL : strdup(path);
    return path != NULL && f->path == NULL ? -ENOMEM : 0;
}

void pid_file_adopt(struct pid_file *f, int fd)
{
    if (f->fd != -1)
        close(f->fd);
    f->fd = fd;
}

void pid_file_fini(struct pid_file *f)
{
    pid_file_adopt(f, -1);
    free(f->path);
}

/* Whether the descriptor is what the path names: others may have put something else there. */
static bool is_ours(const struct pid_file *f)
{
    struct stat there;
    struct stat here;
    return f->fd != -1 && lstat(f->path, &there) == 0 && fstat(f->fd, &here) == 0 &&
           there.st_dev == here.st_dev && there.st_ino == here.st_ino;
}

static int put(int fd, const char *text, size_t len)
{
    ssize_t n = pwrite(fd, text, len, 0);
    return n == (ssize_t)len ? 0 : n == -1 ? -errno : -ENOSPC;
}

/* A new file in its place. */
static int replace(struct pid_file *f, const char *text)
{
    char path[PATH_MAX];
    if (snprintf(path, sizeof path, "%s.%ld", f->path, (long)getpid()) >= (int)sizeof path)
        return -ENAMETOOLONG;
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd == -1)
        return -errno;
    int rc = put(fd, text, strlen(text));
    if (rc == 0 && rename(path, f->path) == -1)
        rc = -errno;
    if (rc < 0) {
        (void)unlink(path);
        close(fd);
        return rc;
    }
    pid_file_adopt(f, fd);
    return 0;
}

/* In one write: line ends cover what is left of a longer number until the file is cut. */
static int overwrite(const struct pid_file *f, const char *text)
{
    char covering[64];
    struct stat st;
    size_t len = strlen(text);
    size_t size = len;
    if (fstat(f->fd, &st) == -1)
        return -errno;
    if (S_ISREG(st.st_mode) && st.st_size > (off_t)len)
        size = st.st_size < (off_t)sizeof covering ? (size_t)st.st_size : sizeof covering;
    for (size_t i = 0; i < sizeof covering; i++)
        covering[i] = i < len ? text[i] : '\n';
    int rc = put(f->fd, covering, size);
    if (rc == 0 && S_ISREG(st.st_mode) && ftruncate(f->fd, (off_t)len) == -1)
        rc = -errno;
    return rc;
}

/* Something that is no file of ours to replace, such as /dev/null. */
static bool is_special(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && !S_ISREG(st.st_mode);
}

/* Where no file can be made, since privileges have been dropped or the directory is not ours, the
 * one that is there is written to. */
int pid_file_write(struct pid_file *f)
{
    char text[32];
    if (f->path == NULL)
        return 0;
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int rc = is_special(f->path) ? -EEXIST : replace(f, text);
    if (rc == 0)
        return 0;
    if (!is_ours(f))
        pid_file_adopt(f, open(f->path, O_RDWR | O_CLOEXEC));
    return f->fd == -1 ? rc : overwrite(f, text);
}

void pid_file_remove(struct pid_file *f)
{
    struct stat st;
    if (is_ours(f) && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode))
        (void)unlink(f->path);
}
