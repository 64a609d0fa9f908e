/* What tells one state of a file from another: a change is seen for the price of a stat(2). */
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
/* Follows symbolic links. All zero where the file cannot be seen. */
struct file_stamp file_stamp_get(const char *path);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

#endif
