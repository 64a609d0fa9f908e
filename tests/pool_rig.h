/* A pool with a clock of the test's own, and the configurations that it has had. */
#ifndef ZPROXY_TESTS_POOL_RIG_H
#define ZPROXY_TESTS_POOL_RIG_H

#include "balance/pool.h"
#include "config_rig.h"

#define POOL_RIG_CONFIGS 32

struct pool_rig {
    struct grace grace;
    struct pool *pool;
    _Atomic uint64_t now;
    unsigned changed; /* how often the pool said so since it was made */
    _Atomic unsigned untidy;
    struct config *conf[POOL_RIG_CONFIGS]; /* all that were loaded */
    size_t conf_count;
};

/* lines: of the section [pool p]. Fails the test when the pool cannot be made. */
void pool_rig_open(struct pool_rig *r, const char *lines);
/* All places must have been given back. */
void pool_rig_close(struct pool_rig *r);

/* Good until the rig is closed. */
const struct config_pool *pool_rig_conf(struct pool_rig *r, const char *lines);
/* Prepares and commits; returns what preparing did. */
int pool_rig_put(struct pool_rig *r, const struct config_pool *conf);
/* Puts other lines in force; what they replace is freed. */
void pool_rig_update(struct pool_rig *r, const char *lines);
/* As the control thread does, until nothing is left to do but to wait for sessions. */
void pool_rig_tidy(struct pool_rig *r);

/* NULL when there is none of that name. */
struct server *pool_rig_server(const struct pool_rig *r, const char *name);

/* As a session that has tried these, or none. */
struct server *pool_rig_pick(struct pool_rig *r, const struct pool_tried *tried);
void pool_rig_release(struct pool_rig *r, struct server *srv);

#endif
