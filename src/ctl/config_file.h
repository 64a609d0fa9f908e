/* Replaces the configuration file as a whole: a candidate is written beside it and takes its name,
 * and the former file can be put back. At any moment one of the two has the name, complete and on
 * the disk. Only one process at a time changes the files of a directory, by a lock on the
 * directory.
 *
 * A symbolic link is followed: the file that it points to is replaced, and the link stays. The
 * candidate gets the owner, group, mode and extended attributes of the file. */
#ifndef ZPROXY_CTL_CONFIG_FILE_H
#define ZPROXY_CTL_CONFIG_FILE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#define CONFIG_FILE_ERROR_MAX (3 * PATH_MAX)

struct config_file {
    char path[PATH_MAX];           /* without links */
    char candidate[PATH_MAX + 32]; /* the file beside it, while it is written and checked */
    char former[PATH_MAX + 32];    /* the file that was replaced, until it is dropped */
    int dir;                       /* locked; -1: closed */
    struct stat st;
    char error[CONFIG_FILE_ERROR_MAX]; /* why the last call failed */
};

/* Finds the file and locks its directory. timeout: ms to wait for the lock. Returns 0; -ETIMEDOUT;
 * or another -errno. After success the caller calls config_file_close(). */
int config_file_open(struct config_file *f, const char *path, unsigned long long timeout);
void config_file_close(struct config_file *f);

/* Whether files of an interrupted call are there. Names them in *text, which is empty otherwise. */
bool config_file_leftovers(const struct config_file *f, char text[CONFIG_FILE_ERROR_MAX]);
void config_file_remove_leftovers(const struct config_file *f);

/* Whether the file has this content. Returns 1 or 0, or -errno. */
int config_file_has(struct config_file *f, const char *text, size_t size);

/* Writes the candidate, replacing one of an interrupted call. Returns 0 or -errno. */
int config_file_write(struct config_file *f, const char *text, size_t size);
void config_file_drop_candidate(const struct config_file *f);

/* Gives the candidate the name of the file. Returns 0; or -errno, and the file is as before. */
int config_file_replace(struct config_file *f);
/* Gives the former file its name back. Returns 0 or -errno. */
int config_file_restore(struct config_file *f);

#endif
