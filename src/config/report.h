/* Error messages about configuration files: where, what is wrong, what was expected. */
#ifndef ZPROXY_CONFIG_REPORT_H
#define ZPROXY_CONFIG_REPORT_H

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include "config/config.h"

/* A place in a file. */
struct location {
    const char *file; /* NULL: not known */
    unsigned line;    /* 0: the whole file; in a field that was never set: no place */
};

/* Where errors are written. */
struct report {
    FILE *out;
    size_t count;                /* of errors so far */
    const struct config *config; /* the values of its variables are not shown; may be NULL */
};

/* Writes and counts an error, as a line "FILE:LINE: [section] key: ...". section and key may be
 * NULL. */
void report_error(struct report *r, struct location at, const char *section, const char *key,
                  const char *what, ...) __attribute__((format(printf, 5, 6)));

void report_error_va(struct report *r, struct location at, const char *section, const char *key,
                     const char *what, va_list args) __attribute__((format(printf, 5, 0)));

/* Writes another place for an error at `at` to buf: "line 3", or "FILE:3". Returns buf. */
#define REPORT_LOCATION_MAX 512
const char *report_location(struct location other, struct location at,
                            char buf[REPORT_LOCATION_MAX]);

#endif
