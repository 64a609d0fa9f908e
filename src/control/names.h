/* Names of servers: the resolver of the process, and how long the start waits for it. */
#ifndef ZPROXY_CONTROL_NAMES_H
#define ZPROXY_CONTROL_NAMES_H

#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "balance/pool.h"
#include "balance/resolver.h"
#include "config/config.h"

struct names {
    const struct config *conf;
    struct resolver *resolver; /* NULL: no name is to be resolved */
    uv_loop_t *loop;
    uv_timer_t deadline;
    bool waiting;
};

/* Whether this build can do what conf asks for. If not, says so as a line "FILE: [section] key:
 * what" to errors. */
bool names_are_resolvable(const struct config *conf, const char *file, FILE *errors);

/* Begins to resolve the names in conf; pools are in its order. To be called while resolv.conf can
 * still be read (chroot). Returns 0 or -errno. */
int names_open(struct names *n, uv_loop_t *loop, const struct config *conf,
               struct pool *const *pools);

/* Runs the loop until every name has had its first answer or failure, but 5 seconds at most. */
void names_wait(struct names *n);
void names_wait_no_longer(struct names *n);

/* May be called twice, or without names_open(). */
void names_close(struct names *n);

#endif
