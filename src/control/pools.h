/* All pools of the process, by name. They outlive configurations; here is who keeps them tidy, and
 * frees those that no configuration and no session uses any more. For the control thread. */
#ifndef ZPROXY_CONTROL_POOLS_H
#define ZPROXY_CONTROL_POOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <uv.h>

#include "balance/pool.h"
#include "base/grace.h"

struct pools_entry;
LIST_HEAD(pools_list, pools_entry);

/* A pool, and whether the present configuration has it. */
struct pools_entry {
    LIST_ENTRY(pools_entry) in_all;
    LIST_ENTRY(pools_entry) in_list; /* of its name's */
    struct pool *pool;
    bool wanted;
};

#define POOLS_LISTS 512u

struct pools {
    struct pools_list all;
    struct pools_list by_name[POOLS_LISTS]; /* by the hash of the name */
    struct grace *grace;
    uv_loop_t *loop;
    uv_timer_t cleanup;
    uv_async_t cleanup_async;
    uint64_t pause; /* ms until the next round */
    /* A pool's servers are others now; a pool is about to be freed. */
    void (*changed)(void *arg, struct pool *p);
    void (*gone)(void *arg, struct pool *p);
    /* Whether sessions may still come to a pool that was dropped. */
    bool (*kept)(void *arg, const struct pool *p);
    /* Called in each round of tidying. Returns whether there should be another one. */
    bool (*cleaned_up)(void *arg);
    void *arg;
};

int pools_init(struct pools *ps, uv_loop_t *loop, struct grace *grace);
/* Frees them all: no session is left, no worker, no health check. The loop is gone. */
void pools_fini(struct pools *ps);

struct pool *pools_find(const struct pools *ps, const char *name);

/* The same, also among those that no configuration has any more. */
struct pool *pools_find_any(const struct pools *ps, const char *name);

/* Calls for each pool that a configuration has. */
void pools_each(const struct pools *ps, void (*call)(void *arg, struct pool *p), void *arg);

/* Makes the pool of that name. NULL with errno as for pool_new(). */
struct pool *pools_add(struct pools *ps, const struct config_pool *conf);

/* No configuration has it any more: it goes when its last session has gone. */
void pools_drop(struct pools *ps, struct pool *p);

/* Calls for each pool, dropped or not, until one call returns true, and returns that. */
bool pools_any(const struct pools *ps, bool (*call)(const void *arg, const struct pool *p),
               const void *arg);

/* Tidies before long: servers and configurations may have been retired. */
void pools_schedule_cleanup(struct pools *ps);

#endif
