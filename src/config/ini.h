/* The syntax of configuration files: sections, keys, comments, continued lines.
 *
 * inih splits entries; what is handed to it, and what it makes of it, is watched line by line,
 * so that nothing is cut, skipped or taken for something else in silence.
 */
#ifndef ZPROXY_CONFIG_INI_H
#define ZPROXY_CONFIG_INI_H

#include <stdbool.h>
#include <stddef.h>

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
