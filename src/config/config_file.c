#include "config/config_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

__attribute__((format(printf, 4, 5))) static int
config_file_fail(struct config_file_error *error, int rc, unsigned line, const char *text, ...)
{
    va_list args;
    error->line = line;
    va_start(args, text);
    vsnprintf(error->text, sizeof error->text, text, args);
    va_end(args);
    return rc;
}

static int fail_errno(struct config_file_error *error)
{
    int rc = -errno;
    return config_file_fail(error, rc, 0, "cannot be read: %s", strerror(-rc));
}

static int fail_size(struct config_file_error *error)
{
    return config_file_fail(error, -EFBIG, 0, "too large, expected at most %d MiB",
                            CONFIG_FILE_SIZE_MAX >> 20);
}

/* Opens path for reading, if it is a file. O_NONBLOCK: opening a FIFO would wait for a writer. */
static int config_file_open(struct config_file *s, const char *path,
                            struct config_file_error *error)
{
    struct stat st;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd == -1)
        return fail_errno(error);
    if (fstat(fd, &st) == -1)
        rc = fail_errno(error);
    else if (S_ISDIR(st.st_mode))
        rc = config_file_fail(error, -EISDIR, 0, "a directory, expected a file");
    else if (!S_ISREG(st.st_mode))
        rc = config_file_fail(error, -EINVAL, 0, "not a regular file");
    else if (st.st_size > CONFIG_FILE_SIZE_MAX)
        rc = fail_size(error);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    s->dev = st.st_dev;
    s->ino = st.st_ino;
    s->size = (size_t)st.st_size;
    return fd;
}

/* Reads to the end, wherever that is by now: s->size is what the file had when it was opened. */
static int config_file_read_all(struct config_file *s, int fd, struct config_file_error *error)
{
    size_t room = s->size + 1; /* one more than expected, to see that there is no more */
    s->size = 0;
    s->text = NULL;
    for (;;) {
        char *text = realloc(s->text, room + 1);
        if (text == NULL)
            return config_file_fail(error, -ENOMEM, 0, "out of memory");
        s->text = text;
        while (s->size < room) {
            ssize_t n = read(fd, s->text + s->size, room - s->size);
            if (n == -1 && errno == EINTR)
                continue;
            if (n == -1)
                return fail_errno(error);
            if (n == 0) {
                s->text[s->size] = '\0';
                return 0;
            }
            s->size += (size_t)n;
        }
        if (s->size > CONFIG_FILE_SIZE_MAX)
            return fail_size(error);
        room *= 2;
    }
}

static void drop_byte_order_mark(struct config_file *s)
{
    const size_t n = strlen(BYTE_ORDER_MARK);
    if (s->size < n || memcmp(s->text, BYTE_ORDER_MARK, n) != 0)
        return;
    s->size -= n;
    memmove(s->text, s->text + n, s->size + 1);
}

/* What else does not belong into text is told line by line, by who reads the lines. */
static int config_file_check_text(const struct config_file *s, struct config_file_error *error)
{
    unsigned line = 1;
    for (size_t i = 0; i < s->size; i++) {
        if (s->text[i] == '\0')
            return config_file_fail(error, -EINVAL, line, "a NUL byte, expected text");
        line += s->text[i] == '\n';
    }
    return 0;
}

int config_file_read(struct config_file *s, const char *path, struct config_file_error *error)
{
    int rc = config_file_open(s, path, error);
    if (rc < 0)
        return rc;
    int fd = rc;
    rc = config_file_read_all(s, fd, error);
    close(fd);
    if (rc == 0) {
        drop_byte_order_mark(s);
        rc = config_file_check_text(s, error);
    }
    if (rc < 0)
        config_file_free(s);
    return rc;
}

void config_file_free(struct config_file *s)
{
    free(s->text);
    s->text = NULL;
}
