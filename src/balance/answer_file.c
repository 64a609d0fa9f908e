#include "balance/answer_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/safe_open.h"

struct answer_file *answer_file_open(const char *path)
{
    struct stat st;
    size_t len = strlen(path) + 1;
    struct answer_file *f = malloc(sizeof *f + len);
    if (f == NULL)
        return NULL;
    atomic_init(&f->refs, 1);
    memcpy(f->path, path, len);
    f->fd = safe_open_read(path);
    if (f->fd >= 0 && fstat(f->fd, &st) == 0) {
        f->length = st.st_size;
        return f;
    }
    int error = f->fd >= 0 ? errno : -f->fd;
    if (f->fd >= 0)
        close(f->fd);
    free(f);
    errno = error;
    return NULL;
}

struct answer_file *answer_file_adopt(int fd, off_t length)
{
    static const char path[] = "(from before the upgrade)";
    struct answer_file *f = malloc(sizeof *f + sizeof path);
    if (f == NULL)
        return NULL;
    atomic_init(&f->refs, 1);
    memcpy(f->path, path, sizeof path);
    f->fd = fd;
    f->length = length;
    return f;
}

void answer_file_ref(struct answer_file *f)
{
    atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
}

void answer_file_unref(struct answer_file *f)
{
    /* acq_rel: the last holder closes the file after the others have used it */
    if (f == NULL || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) > 1)
        return;
    close(f->fd);
    free(f);
}
