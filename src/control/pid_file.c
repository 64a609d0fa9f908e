#include "control/pid_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/safe_open.h"

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

/* Whether the path still names the file of the descriptor. */
static bool pid_file_is_ours(const struct pid_file *f)
{
    struct file_id there;
    struct file_id here;
    return f->fd != -1 && safe_file_id(f->path, &there) == 0 && file_id_of(f->fd, &here) == 0 &&
           file_id_equal(&there, &here);
}

static int pid_file_put(int fd, const char *text, size_t len)
{
    ssize_t n = pwrite(fd, text, len, 0);
    return n == (ssize_t)len ? 0 : n == -1 ? -errno : -ENOSPC;
}

/* Writes once: line ends overwrite the rest of a longer number until the file is truncated. */
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
    int rc = pid_file_put(f->fd, covering, size);
    if (rc == 0 && S_ISREG(st.st_mode) && ftruncate(f->fd, (off_t)len) == -1)
        rc = -errno;
    return rc;
}

/* The file that is there is overwritten if no new one can be made, since privileges have been
 * dropped or the directory belongs to another user, or if it is a special file such as /dev/null.
 */
int pid_file_write(struct pid_file *f)
{
    char text[32];
    if (f->path == NULL)
        return 0;
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    int rc = safe_replace(f->path, 0644, text, strlen(text));
    if (rc >= 0) {
        pid_file_adopt(f, rc);
        return 0;
    }
    int fd = pid_file_is_ours(f) ? -1 : safe_open_update(f->path);
    if (fd >= 0)
        pid_file_adopt(f, fd);
    else if (!pid_file_is_ours(f))
        return rc;
    return overwrite(f, text);
}

void pid_file_remove(struct pid_file *f)
{
    struct stat st;
    struct file_id id;
    if (f->fd != -1 && fstat(f->fd, &st) == 0 && S_ISREG(st.st_mode) && file_id_of(f->fd, &id) == 0)
        (void)safe_unlink(f->path, &id);
}
