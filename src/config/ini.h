/* INI files: reads a file, and splits its text into sections and keys.
 *
 * inih splits "key = value". Every line is checked before inih gets it, and every value that inih
 * returns is complete: nothing is cut, skipped or misread without an error. */
#ifndef ZPROXY_CONFIG_INI_H
#define ZPROXY_CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define INI_FILE_SIZE_MAX (4 << 20)

struct ini_file {
    char *text; /* without NUL bytes, but for the one at its end */
    size_t size;
    dev_t dev; /* dev and ino identify the file, whatever its name */
    ino_t ino;
};

struct ini_file_error {
    unsigned line; /* 0: the whole file */
    char text[128];
};

/* Reads a regular file, without its byte order mark; never blocks on a FIFO or a device. Returns 0,
 * or -errno with *error set. The caller frees the file with ini_file_free(). */
int ini_file_read(struct ini_file *s, const char *path, struct ini_file_error *error);
void ini_file_free(struct ini_file *s);

/* Bytes of a line, without its comment and the white space before that. The limit does not depend
 * on how inih was built: inih gets long lines in pieces. */
#define INI_LINE_MAX 199
#define INI_KEY_MAX  63 /* bytes of a key */

struct ini_handler {
    /* "[title]". The keys that follow belong to it. */
    void (*section)(void *arg, unsigned line, const char *title);
    /* "key = value", with all continuation lines. The strings are valid during the call only. */
    void (*entry)(void *arg, unsigned line, const char *key, const char *value);
    /* A line that cannot be read. Reading continues with the next line. */
    void (*error)(void *arg, unsigned line, const char *what);
    /* Whether an indented line was probably meant as a section or key, not as the continuation that
     * its indent makes it. key is the key that it would continue; NULL: none. */
    bool (*starts_entry)(void *arg, const char *key, const char *text);
};

/* Reads size bytes of text without NUL bytes. Calls the handler in the order of the lines. */
void ini_read(const char *text, size_t size, const struct ini_handler *handler, void *arg);

#endif
