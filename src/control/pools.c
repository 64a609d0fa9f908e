#include "control/pools.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"

#define CLEANUP_MS     20   /* from a change to the cleanup: one serves many changes */
#define CLEANUP_MAX_MS 1000 /* between cleanups while old sessions keep something */

static uint64_t on_now(void *arg)
{
    const struct pools *ps = arg;
    return uv_now(ps->loop);
}

static void pools_on_changed(void *arg, struct pool *p)
{
    const struct pools *ps = arg;
    if (ps->changed != NULL)
        ps->changed(ps->arg, p);
}

/* Called from any thread. */
static void on_cleanup_needed(void *arg)
{
    struct pools *ps = arg;
    uv_async_send(&ps->cleanup_async);
}

static void on_cleanup_async(uv_async_t *async)
{
    pools_schedule_cleanup(async->data);
}

static void pools_entry_free(struct pools *ps, struct pools_entry *e)
{
    LIST_REMOVE(e, in_all);
    LIST_REMOVE(e, in_list);
    if (ps->gone != NULL)
        ps->gone(ps->arg, e->pool);
    pool_free(e->pool);
    free(e);
}

static bool is_kept(const struct pools *ps, const struct pool *p)
{
    return ps->kept != NULL && ps->kept(ps->arg, p);
}

/* A dropped pool may be the fallback of another one until the workers have seen the change. So it
 * is freed only when the grace period of that change was over before this cleanup. */
static bool cleanup(struct pools *ps)
{
    bool pending = grace_reclaim(ps->grace);
    bool again = pending;
    struct pools_entry *e = LIST_FIRST(&ps->all);
    while (e != NULL) {
        struct pools_entry *next = LIST_NEXT(e, in_all);
        again |= pool_tidy(e->pool);
        if (!e->wanted && !pending && pool_is_idle(e->pool) && !is_kept(ps, e->pool))
            pools_entry_free(ps, e);
        else
            again |= !e->wanted;
        e = next;
    }
    return again;
}

static void on_cleanup_timer(uv_timer_t *timer);

static void start_cleanup_timer(struct pools *ps, uint64_t pause)
{
    if (uv_is_closing((const uv_handle_t *)&ps->cleanup))
        return;
    ps->pause = pause;
    uv_timer_start(&ps->cleanup, on_cleanup_timer, pause, 0);
}

static void on_cleanup_timer(uv_timer_t *timer)
{
    struct pools *ps = timer->data;
    uint64_t pause = ps->pause;
    ps->pause = 0;
    bool again = cleanup(ps);
    if (ps->cleaned_up != NULL)
        again |= ps->cleaned_up(ps->arg);
    if (again && ps->pause == 0) /* no other cleanup was scheduled meanwhile */
        start_cleanup_timer(ps, 2 * pause < CLEANUP_MAX_MS ? 2 * pause : CLEANUP_MAX_MS);
}

void pools_schedule_cleanup(struct pools *ps)
{
    if (ps->pause != CLEANUP_MS)
        start_cleanup_timer(ps, CLEANUP_MS);
}

int pools_init(struct pools *ps, uv_loop_t *loop, struct grace *grace)
{
    memset(ps, 0, sizeof *ps);
    LIST_INIT(&ps->all);
    for (size_t i = 0; i < POOLS_LISTS; i++)
        LIST_INIT(&ps->by_name[i]);
    ps->loop = loop;
    ps->grace = grace;
    uv_timer_init(loop, &ps->cleanup);
    ps->cleanup.data = ps->cleanup_async.data = ps;
    return uv_async_init(loop, &ps->cleanup_async, on_cleanup_async);
}

void pools_fini(struct pools *ps)
{
    struct pools_entry *e = LIST_FIRST(&ps->all);
    while (e != NULL) {
        struct pools_entry *next = LIST_NEXT(e, in_all);
        pools_entry_free(ps, e);
        e = next;
    }
}

static size_t list_of(const char *name)
{
    return hash_bytes(name, strlen(name)) % POOLS_LISTS;
}

struct pool *pools_find(const struct pools *ps, const char *name)
{
    const struct pools_entry *e;
    LIST_FOREACH(e, &ps->by_name[list_of(name)], in_list)
        if (e->wanted && strcmp(pool_name(e->pool), name) == 0)
            return e->pool;
    return NULL;
}

struct pool *pools_find_any(const struct pools *ps, const char *name)
{
    const struct pools_entry *e;
    struct pool *p = pools_find(ps, name);
    if (p != NULL)
        return p;
    LIST_FOREACH(e, &ps->by_name[list_of(name)], in_list)
        if (strcmp(pool_name(e->pool), name) == 0)
            return e->pool;
    return NULL;
}

bool pools_any(const struct pools *ps, bool (*call)(const void *arg, const struct pool *p),
               const void *arg)
{
    const struct pools_entry *e;
    LIST_FOREACH(e, &ps->all, in_all)
        if (call(arg, e->pool))
            return true;
    return false;
}

void pools_each(const struct pools *ps, void (*call)(void *arg, struct pool *p), void *arg)
{
    const struct pools_entry *e;
    LIST_FOREACH(e, &ps->all, in_all)
        if (e->wanted)
            call(arg, e->pool);
}

struct pool *pools_add(struct pools *ps, const struct config_pool *conf)
{
    const struct pool_events events = { on_now, pools_on_changed, on_cleanup_needed, ps };
    struct pools_entry *e = calloc(1, sizeof *e);
    if (e == NULL) {
        errno = ENOMEM;
        return NULL;
    }
    e->wanted = true;
    e->pool = pool_new(conf, ps->grace, &events);
    if (e->pool == NULL) {
        free(e);
        return NULL;
    }
    LIST_INSERT_HEAD(&ps->all, e, in_all);
    LIST_INSERT_HEAD(&ps->by_name[list_of(conf->name)], e, in_list);
    return e->pool;
}

void pools_drop(struct pools *ps, struct pool *p)
{
    struct pools_entry *e;
    LIST_FOREACH(e, &ps->all, in_all)
        if (e->pool == p) {
            e->wanted = false;
            pool_drop(p, uv_now(ps->loop));
        }
    pools_schedule_cleanup(ps);
}
