/* A pool with a clock that the test sets, and its configurations. */
#ifndef ZPROXY_TESTS_POOL_RIG_H
#define ZPROXY_TESTS_POOL_RIG_H

#include "balance/pool.h"
#include "config_rig.h"

#define POOL_RIG_CONFIGS 32

struct pool_rig {
    struct grace grace;
    struct pool *pool;
    _Atomic uint64_t now;
    unsigned changed; /* calls of pool_events.changed */
    _Atomic unsigned untidy;
    struct config *conf[POOL_RIG_CONFIGS]; /* all loaded ones */
    size_t conf_count;
};

/* lines: the section [pool p]. Fails the test if the pool cannot be made. */
void pool_rig_open(struct pool_rig *r, const char *lines);
/* All slots must have been released. */
void pool_rig_close(struct pool_rig *r);

/* Valid until the rig is closed. */
const struct config_pool *pool_rig_conf(struct pool_rig *r, const char *lines);
/* Prepares and commits. Returns the result of pool_prepare(). */
int pool_rig_put(struct pool_rig *r, const struct config_pool *conf);
/* Applies other lines and frees the replaced objects. */
void pool_rig_update(struct pool_rig *r, const char *lines);
/* Calls pool_tidy() as the control thread does, until it only waits for sessions. */
void pool_rig_tidy(struct pool_rig *r);

/* Returns NULL if no server has the name. */
struct server *pool_rig_server(const struct pool_rig *r, const char *name);

/* Picks for a session that has tried these servers; NULL: none. */
struct server *pool_rig_pick(struct pool_rig *r, const struct pool_tried *tried);
void pool_rig_release(struct pool_rig *r, struct server *srv);

#endif
