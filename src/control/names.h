/* Names of servers: the resolver of the process, and how long the start waits for it. */
#ifndef ZPROXY_CONTROL_NAMES_H
#define ZPROXY_CONTROL_NAMES_H

#include <stdbool.h>
#include <stdio.h>
#include <uv.h>

#include "balance/pool.h"
#include "balance/resolver.h"
#include "base/deadline.h"
#include "config/config.h"
#include "control/pools.h"

struct names {
    uv_loop_t *loop;
    struct deadline deadline;
    const struct config *conf; /* in force */
    const struct pools *pools;
    struct resolver *resolver; /* NULL: no configuration has had a name yet */
    bool waiting;
};

/* Whether this build can do what conf asks for. If not, says so as lines "FILE: [section] key:
 * what" to errors; without FILE where file is NULL. */
bool names_are_supported(const struct config *conf, const char *file, FILE *errors);

void names_init(struct names *n, uv_loop_t *loop);
/* Ends all look-ups. May be called twice. */
void names_close(struct names *n);

/* Makes ready for the names in conf; the first time while resolv.conf can still be read (chroot).
 * Returns 0; or -1 after having written to errors what is in the way. */
int names_prepare(struct names *n, const struct config *conf, FILE *errors);
/* Resolves the names in conf, which is in force now, and all of them anew: resolv.conf and the
 * name servers may be others. */
void names_commit(struct names *n, const struct config *conf, const struct pools *pools);
/* The names of a pool that no configuration has any more. */
void names_remove_pool(struct names *n, const struct pool *pool);

/* As resolver_each() and resolver_held_until(); nothing where no configuration has had a name. */
void names_each(const struct names *n, resolver_each_fn *each, void *arg);
uint64_t names_held_until(const struct names *n, const struct pool *pool, const struct addr *at);

/* Runs the loop until every name has had its first answer or failure, but 5 seconds at most. */
void names_wait(struct names *n);
void names_wait_stop(struct names *n);

#endif
