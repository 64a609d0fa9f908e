/* Errors of configuration files: where, what is wrong, what was expected. */
#ifndef ZPROXY_CONFIG_REPORT_H
#define ZPROXY_CONFIG_REPORT_H

#include <stddef.h>
#include <stdio.h>

#include "config/config.h"

struct location {
    const char *file;
    unsigned line; /* 0: the file as a whole, or in a place that was never filled in: nowhere */
};

struct report {
    FILE *out;
    size_t count;
    const struct config *config; /* whose variables are not shown; NULL: it has none */
};

/* Writes and counts a line "FILE:LINE: [section] key: ...". section and key may be NULL. */
void report_error(struct report *r, struct location at, const char *section, const char *key,
                  const char *what, ...) __attribute__((format(printf, 5, 6)));

/* How an error at `at` speaks of another place: "line 3", or "FILE:3". Returns buf. */
#define REPORT_LOCATION_MAX 512
const char *report_location(struct location other, struct location at,
                            char buf[REPORT_LOCATION_MAX]);

#endif
