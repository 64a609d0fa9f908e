/* All pools of the process, by name. A pool outlives configurations. A periodic cleanup frees it
 * when no configuration and no session uses it any more. For the control thread. */
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

struct pools_entry {
    LIST_ENTRY(pools_entry) in_all;
    LIST_ENTRY(pools_entry) in_list; /* of its name's hash */
    struct pool *pool;
    bool wanted; /* by the configuration in force or by one that is being prepared */
};

#define POOLS_LISTS 512u

struct pools {
    struct pools_list all;
    struct pools_list by_name[POOLS_LISTS]; /* by the hash of the name */
    struct grace *grace;
    uv_loop_t *loop;
    uv_timer_t cleanup;
    uv_async_t cleanup_async;
    uint64_t pause; /* ms until the next cleanup */
    /* The servers of a pool have changed; a pool is about to be freed. */
    void (*changed)(void *arg, struct pool *p);
    void (*gone)(void *arg, struct pool *p);
    /* Returns whether sessions may still be sent to a dropped pool. */
    bool (*kept)(void *arg, const struct pool *p);
    /* Called in each cleanup. Returns whether another one is needed. */
    bool (*cleaned_up)(void *arg);
    void *arg;
};

/* Returns 0 or -errno. */
int pools_init(struct pools *ps, uv_loop_t *loop, struct grace *grace);
/* Frees all pools. Must be called when sessions, workers and health checks have ended and the loop
 * is closed. */
void pools_fini(struct pools *ps);

struct pool *pools_find(const struct pools *ps, const char *name);

/* As pools_find(), also among dropped pools. */
struct pool *pools_find_any(const struct pools *ps, const char *name);

/* Calls for each pool that is not dropped. */
void pools_each(const struct pools *ps, void (*call)(void *arg, struct pool *p), void *arg);

/* Makes the pool of that name. Returns NULL with errno as pool_new() does. */
struct pool *pools_add(struct pools *ps, const struct config_pool *conf);

/* Drops a pool that no configuration has any more: it is freed after its last session has ended. */
void pools_drop(struct pools *ps, struct pool *p);

/* Calls for each pool, dropped or not, until a call returns true. Returns whether one did. */
bool pools_any(const struct pools *ps, bool (*call)(const void *arg, const struct pool *p),
               const void *arg);

/* Schedules a cleanup: servers or configurations may have been retired. */
void pools_schedule_cleanup(struct pools *ps);

#endif
