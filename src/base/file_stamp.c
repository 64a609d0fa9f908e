#include "base/file_stamp.h"

struct file_stamp file_stamp_of(const struct stat *st)
{
    return (struct file_stamp){
        .dev = st->st_dev, .ino = st->st_ino, .size = st->st_size, .mtime = st->st_mtim
    };
}

struct file_stamp file_stamp_get(const char *path)
{
    struct stat st;
    if (stat(path, &st) == -1)
        return (struct file_stamp){ .ino = 0 };
    return file_stamp_of(&st);
}

bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}
