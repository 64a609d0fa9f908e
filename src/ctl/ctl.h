/* The options and the exit status of zproxyctl, and how results are printed. */
#ifndef ZPROXY_CTL_CTL_H
#define ZPROXY_CTL_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ctl/control_client.h"

enum ctl_status {
    CTL_DONE = 0,
    CTL_FAILED = 1,        /* refused, or a wrong command line */
    CTL_NOT_CONNECTED = 2, /* no zproxy answers */
    CTL_TIMED_OUT = 3,
    CTL_ROLLED_BACK = 4,  /* apply: the former file is in place again */
    CTL_NOT_RESTORED = 5, /* apply: the former file could not be put back */
    CTL_CHANGED = 10,     /* with --detailed-exitcode: done, and something has changed */
};

#define CTL_NO_TIMEOUT UINT64_MAX

struct ctl {
    struct control_client client;
    bool json;
    bool detailed_exitcode;
    bool wait;
    bool check;
    uint64_t timeout; /* ms */
};

/* The monotonic clock, in ms. */
uint64_t ctl_clock(void);

/* Prints a result that zproxyctl itself has made, as an answer of zproxy would be printed, and
 * frees it: an object with "lines", or with "errors" and "code". Notes go to standard error.
 * Returns status, or CTL_CHANGED. NULL: out of memory. */
enum ctl_status ctl_finish(const struct ctl *c, enum ctl_status status, json_t *result);

/* Prints an error. */
enum ctl_status ctl_fail(const struct ctl *c, enum ctl_status status, const char *code,
                         const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* A result with one error or one line; NULL when out of memory. */
json_t *ctl_error(const char *code, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Prints the reason why a request failed with rc. */
enum ctl_status ctl_fail_connection(const struct ctl *c, int rc);

/* Sends a command and waits for its answer. While zproxy is being upgraded it asks again. Returns
 * the answer, which the caller frees, or NULL and *rc. */
json_t *ctl_request(struct ctl *c, const char *command, int *rc);

#endif
