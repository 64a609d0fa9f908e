/* The syntax of configuration files: sections, keys, comments, continued lines.
 *
 * inih splits entries; what is handed to it, and what it makes of it, is watched line by line,
 * so that nothing is cut, skipped or taken for something else in silence.
 */
#ifndef ZPROXY_CONFIG_INI_H
#define ZPROXY_CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define INI_FILE_SIZE_MAX (4 << 20)

struct ini_file {
    char *text; /* has no NUL byte but the one at its end */
    size_t size;
    dev_t dev; /* which file it is, by whatever name */
    ino_t ino;
};

struct ini_file_error {
    unsigned line; /* 0: the file as a whole */
    char text[128];
};

/* Reads a regular file; never waits for a FIFO or a device. A byte order mark is left out.
 * Returns 0, or -errno with *error filled in. */
int ini_file_read(struct ini_file *s, const char *path, struct ini_file_error *error);
void ini_file_free(struct ini_file *s);

/* Bytes in a line, comment and white space behind it not counted. A limit of this file: whatever
 * inih can hold, it is given pieces that fit. */
#define INI_LINE_MAX 199
#define INI_KEY_MAX  63 /* bytes in a key */

struct ini_handler {
    /* "[title]". Keys that follow are its own. */
    void (*section)(void *arg, unsigned line, const char *title);
    /* "key = value", all lines of it. The strings are gone after the call. */
    void (*entry)(void *arg, unsigned line, const char *key, const char *value);
    /* A line that is neither. Reading goes on. */
    void (*error)(void *arg, unsigned line, const char *what);
    /* Whether an indented line that begins like this was meant to stand for itself: it would
     * silently become a part of the line before. key is what that sets; NULL: nothing. */
    bool (*starts_entry)(void *arg, const char *key, const char *text);
};

/* Reads size bytes of text, free of NUL bytes, and calls back in the order of the lines. */
void ini_read(const char *text, size_t size, const struct ini_handler *handler, void *arg);

#endif
