/* Detects that a file has changed, by one stat(2): identity, size and modification time. */
#ifndef ZPROXY_BASE_FILE_STAMP_H
#define ZPROXY_BASE_FILE_STAMP_H

#include <stdbool.h>
#include <sys/stat.h>

struct file_stamp {
    dev_t dev;
    ino_t ino; /* 0: there is no file */
    off_t size;
    struct timespec mtime;
};

struct file_stamp file_stamp_of(const struct stat *st);
/* Follows symbolic links. All zeros if stat(2) fails. */
struct file_stamp file_stamp_get(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

#endif
