/* Names in server lines: the resolver of the process, and the wait for its first answers at the
 * start. For the control thread. */
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

/* Whether this build can resolve names, if conf has any. If not, prints a line "FILE: [section]
 * key: reason" to errors for each pool; file NULL: without "FILE: ". */
bool names_are_supported(const struct config *conf, const char *file, FILE *errors);

#define NAMES_TEXT_MAX 640

/* Writes a note on a pool with balance "hash" whose servers have host names: machines may resolve
 * them to different addresses and so send a client to different servers. size: NAMES_TEXT_MAX.
 * Returns false, and writes nothing, for other pools. */
bool names_describe_hashed(const struct config_pool *pool, char *text, size_t size);

void names_init(struct names *n, uv_loop_t *loop);
/* Ends all look-ups. A second call does nothing. */
void names_close(struct names *n);

/* Makes the resolver, if conf has names. The first call must come before chroot(2), while
 * resolv.conf can be read. Returns 0; or -1 after printing the reason to errors. */
int names_prepare(struct names *n, const struct config *conf, FILE *errors);
/* Resolves all names in conf, which is in force now, also those that were resolved before: the name
 * servers may have changed. */
void names_commit(struct names *n, const struct config *conf, const struct pools *pools);
/* Drops the names of a pool that is not in force any more. */
void names_remove_pool(struct names *n, const struct pool *pool);

/* As the functions of resolver.h; without a resolver false, nothing and 0. */
bool names_pool_waits(const struct names *n, const struct pool *pool);
void names_each(const struct names *n, resolver_each_fn *each, void *arg);
uint64_t names_held_until(const struct names *n, const struct pool *pool, const struct addr *at);

/* Runs the loop until every name has had its first answer or failure, for 5 seconds at most. */
void names_wait(struct names *n);
void names_wait_stop(struct names *n);

#endif
