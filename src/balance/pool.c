#include "balance/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive_check.h"
#include "balance/pool_internal.h"

static uint64_t pool_now(const struct pool *p)
{
    return p->events.now(p->events.arg);
}

/* ---- new servers, new settings ---- */

/* A set that was replaced, and the servers that only it has. */
struct retired_set {
    struct pool *pool;
    struct server_set *set;
    struct removed_servers removed_servers;
};

static void pool_on_set_retired(void *what)
{
    struct retired_set *r = what;
    struct server *srv;
    server_set_free(r->set);
    while ((srv = SLIST_FIRST(&r->removed_servers)) != NULL) {
        SLIST_REMOVE_HEAD(&r->removed_servers, in_removed);
        SLIST_INSERT_HEAD(&r->pool->removed_servers, srv, in_removed);
    }
    r->pool->retiring--;
    free(r);
}

/* Publishes the set. The replaced one is freed after the grace period. */
static void pool_publish_set(struct pool *p, struct server_set *set, struct retired_set *retired)
{
    uint64_t now = pool_now(p);
    retired->pool = p;
    retired->set = atomic_exchange(&p->set, set); /* seq_cst: see pool_set() */
    server_set_assign_ranks(set, now);
    pool_schedule_review(p);
    p->stale = false;
    p->retiring++;
    grace_retire(p->grace, pool_on_set_retired, retired);
    p->events.untidy(p->events.arg);
    pool_serve_waiters(p, now);
}

struct pool_update {
    struct pool *pool;
    struct server_list_plan *plan;
    struct server_set *set;
    struct retired_set *retired;
};

/* Does what may fail. Owns plan and file, also on failure. */
static struct pool_update *pool_prepare_plan(struct pool *p, const struct config_pool *conf,
                                             struct server_list_plan *plan,
                                             struct answer_file *file)
{
    size_t count = 0;
    const struct server_member *members = server_list_plan_members(plan, &count);
    struct pool_update *u = calloc(1, sizeof *u);
    struct retired_set *retired = calloc(1, sizeof *retired);
    server_list_try(plan); /* the order of the new set depends on the new weights */
    struct server_set *set = server_set_new(conf, members, count, file, pool_set(p));
    server_list_revert(plan);
    if (u == NULL || retired == NULL || set == NULL) {
        if (set == NULL)
            answer_file_unref(file);
        server_set_free(set);
        server_list_plan_free(plan);
        free(retired);
        free(u);
        return NULL;
    }
    u->pool = p;
    u->plan = plan;
    u->set = set;
    u->retired = retired;
    return u;
}

void pool_abort(struct pool_update *u)
{
    if (u == NULL)
        return;
    server_set_free(u->set);
    server_list_plan_free(u->plan);
    free(u->retired);
    free(u);
}

void pool_commit(struct pool_update *u)
{
    assert(u != NULL);
    struct pool *p = u->pool;
    server_list_try(u->plan);
    server_list_apply(&p->server_list, u->plan, &u->retired->removed_servers);
    pool_prefer_below_share(p, false); /* a rebalance that goes on sets new shares */
    pool_publish_set(p, u->set, u->retired);
    server_list_plan_free(u->plan);
    free(u);
    p->events.changed(p->events.arg, p);
}

int pool_check_file(const struct config_pool *conf)
{
    struct answer_file *file = conf->file == NULL ? NULL : answer_file_open(conf->file);
    int rc = conf->file != NULL && file == NULL ? -errno : 0;
    answer_file_unref(file);
    return rc;
}

int pool_prepare(struct pool *p, const struct config_pool *conf, struct pool_update **update)
{
    struct answer_file *file = NULL;
    struct server_list_plan *plan = NULL;
    if (conf->file != NULL && (file = answer_file_open(conf->file)) == NULL)
        return -errno;
    if (server_list_plan_config(&p->server_list, conf, &plan) < 0) {
        answer_file_unref(file);
        return -ENOMEM;
    }
    *update = pool_prepare_plan(p, conf, plan, file);
    return *update == NULL ? -ENOMEM : 0;
}

struct pool *pool_new(const struct config_pool *conf, struct grace *grace,
                      const struct pool_events *events)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->grace = grace;
    p->events = *events;
    p->name = strdup(conf->name);
    SLIST_INIT(&p->removed_servers);
    server_list_init(&p->server_list);
    queue_init(&p->queue);
    pthread_mutex_init(&p->lock, NULL);
    struct pool_update *update = NULL;
    int rc = p->name == NULL ? -ENOMEM : pool_prepare(p, conf, &update);
    if (rc < 0) {
        pool_free(p);
        errno = -rc;
        return NULL;
    }
    pool_commit(update);
    return p;
}

static void pool_free_removed(struct pool *p)
{
    struct server *srv;
    while ((srv = SLIST_FIRST(&p->removed_servers)) != NULL) {
        SLIST_REMOVE_HEAD(&p->removed_servers, in_removed);
        server_free(srv);
    }
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    assert(p->retiring == 0);
    server_set_free(pool_set(p));
    pool_free_removed(p);
    server_list_fini(&p->server_list);
    queue_fini(&p->queue);
    pthread_mutex_destroy(&p->lock);
    free(p->name);
    free(p);
}

static int pool_update_plan(struct pool *p, struct server_list_plan *plan)
{
    struct pool_update *u = pool_prepare_plan(p, pool_conf(p), plan, NULL);
    if (u == NULL)
        return -ENOMEM;
    pool_commit(u);
    return 0;
}

int pool_add_server(struct pool *p, const struct config_server *line)
{
    struct server_list_plan *plan = NULL;
    if (pool_file(p) != NULL)
        return -EINVAL;
    int rc = server_list_plan_add(&p->server_list, pool_conf(p), line, &plan);
    return rc < 0 ? rc : pool_update_plan(p, plan);
}

int pool_del_server(struct pool *p, const struct server *srv)
{
    struct server_list_plan *plan = NULL;
    int rc = server_list_plan_remove(&p->server_list, pool_conf(p), srv, &plan);
    return rc < 0 ? rc : pool_update_plan(p, plan);
}

const struct config_server *pool_find_line(const struct pool *p, const char *name,
                                           const struct addr *at)
{
    return server_list_find_line(&p->server_list, pool_conf(p), name, at);
}

bool pool_was_added(const struct pool *p, const struct server *srv)
{
    (void)p;
    return srv->added;
}

int pool_resolved(struct pool *p, size_t server, const struct pool_answer *answers, size_t count)
{
    struct server_list_plan *plan = NULL;
    const struct config_pool *conf = pool_conf(p);
    int rc = server_list_plan_answers(&p->server_list, conf, server, answers, count, &plan);
    if (rc <= 0)
        return rc;
    rc = pool_update_plan(p, plan);
    return rc < 0 ? rc : 1;
}

/* The set no longer matches the servers' states and weights: pool_tidy() makes a new one. */
static void pool_mark_stale(struct pool *p)
{
    p->stale = true;
    pool_schedule_review(p);
    p->events.untidy(p->events.arg);
}

/* Publishes a set of the same servers for their present states. If memory runs out the pool stays
 * stale: server_is_usable() still refuses the servers that the set should not have. */
static void pool_renew_set(struct pool *p)
{
    struct server_set *old = pool_set(p);
    struct server_member *members = calloc(p->server_list.count + 1, sizeof *members);
    struct retired_set *retired = calloc(1, sizeof *retired);
    struct server_set *set = NULL;
    if (members != NULL && retired != NULL) {
        server_list_members(&p->server_list, members);
        set = server_set_new(old->conf, members, p->server_list.count, NULL, old);
    }
    free(members);
    if (set == NULL)
        free(retired);
    else
        pool_publish_set(p, set, retired);
}

static void pool_on_server_retired(void *what)
{
    server_free(what);
}

/* Retires removed servers without sessions. The worker whose session has just left may still use
 * the server in its wake-up. */
static void pool_retire_removed(struct pool *p)
{
    struct server *srv = SLIST_FIRST(&p->removed_servers);
    SLIST_INIT(&p->removed_servers);
    while (srv != NULL) {
        struct server *next = SLIST_NEXT(srv, in_removed);
        if (server_active(srv) == 0)
            grace_retire(p->grace, pool_on_server_retired, srv);
        else
            SLIST_INSERT_HEAD(&p->removed_servers, srv, in_removed);
        srv = next;
    }
}

bool pool_tidy(struct pool *p)
{
    if (p->stale)
        pool_renew_set(p);
    pool_retire_removed(p);
    bool awaited = pool_offer_in_time(p, pool_now(p));
    return awaited || p->stale || p->retiring > 0 || !SLIST_EMPTY(&p->removed_servers);
}

bool pool_is_idle(const struct pool *p)
{
    return p->retiring == 0 && SLIST_EMPTY(&p->removed_servers) && pool_sessions(p) == 0;
}

/* ---- servers ---- */

void pool_set_fallback(struct pool *p, struct pool *fallback)
{
    /* release: a worker that finds the pool finds what is in it */
    atomic_store_explicit(&p->fallback, fallback, memory_order_release);
}

struct server *const *pool_servers(const struct pool *p, size_t *count)
{
    struct server_set *set = pool_set(p);
    *count = set->count;
    return set->servers;
}

bool pool_is_backup(const struct pool *p, const struct server *srv)
{
    (void)p;
    return srv->backup;
}

void pool_prefer_below_share(struct pool *p, bool prefer)
{
    atomic_store_explicit(&p->prefers_below, prefer, memory_order_relaxed);
}

struct table pool_table(const struct pool *p)
{
    return pool_set(p)->table;
}

/* ---- states and weights ---- */

static void state_changed(struct pool *p, struct server *srv, uint64_t now)
{
    pool_mark_stale(p);
    server_set_changed(pool_set(p), srv, now);
}

/* Whether the set has another eligible server. */
static bool pool_has_other_eligible(const struct pool *p, const struct server *srv)
{
    const struct server_set *set = pool_set(p);
    for (size_t i = 0; i < set->count; i++)
        if (set->servers[i] != srv && server_is_eligible(set->servers[i]))
            return true;
    return false;
}

/* A server that waits for its first check does not count. */
uint64_t pool_last_usable(struct pool *p, uint64_t now)
{
    const struct server_set *set = pool_set(p);
    for (size_t i = 0; i < set->count; i++)
        if (set->servers[i]->check == NULL && server_is_usable(set->servers[i], now))
            p->last_usable = now;
    return p->last_usable;
}

bool pool_set_up(struct pool *p, struct server *srv, bool up, uint64_t now)
{
    if (up)
        p->last_usable = now;
    if (atomic_exchange(&srv->up, up) == up)
        return false;
    if (up) {
        passive_check_reset(srv);
        pool_comes_up(srv, now, pool_conf(p));
        queue_forget_tried(&p->queue, srv);
    }
    bool was_only_eligible = up && !pool_has_other_eligible(p, srv);
    state_changed(p, srv, now);
    if (was_only_eligible)
        pool_renew_set(p); /* at once: clients are being refused */
    else
        pool_serve_waiters(p, now);
    return true;
}

/* A command takes effect at once, without waiting for pool_tidy(). */
static void setting_changed(struct pool *p, struct server *srv, uint64_t now)
{
    state_changed(p, srv, now);
    pool_renew_set(p);
}

/* A server that becomes ready has a slow start, as one that comes up. */
void pool_set_state(struct pool *p, struct server *srv, enum config_state state, uint64_t now)
{
    int before = atomic_exchange(&srv->state, (int)state);
    if (before == (int)state)
        return;
    if (state == CONFIG_STATE_READY) {
        passive_check_reset(srv);
        pool_comes_up(srv, now, pool_conf(p));
        queue_forget_tried(&p->queue, srv);
    }
    setting_changed(p, srv, now);
}

void pool_set_weight(struct pool *p, struct server *srv, unsigned weight, uint64_t now)
{
    if (atomic_exchange(&srv->weight, weight) != weight)
        setting_changed(p, srv, now);
}

/* ---- handover ---- */

const struct pool_answer *pool_answers(const struct pool *p, size_t server, size_t *count)
{
    return server_list_answers(&p->server_list, &pool_conf(p)->server[server], count);
}

struct server *pool_find(const struct pool *p, const struct addr *at, const char *name)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(p, &count);
    struct server *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!addr_equal(&servers[i]->addr, at))
            continue;
        if (server_is_named(servers[i], name))
            return servers[i];
        found = servers[i];
    }
    return found;
}

static uint64_t sessions_if_named(const struct server *srv, const char *name)
{
    char text[ADDR_TEXT_MAX];
    bool is_it = server_is_named(srv, name) || strcmp(addr_print(&srv->addr, text), name) == 0;
    return is_it ? server_active(srv) : 0;
}

bool pool_count_sessions(const struct pool *p, const char *server, uint64_t *sessions)
{
    const struct server *srv;
    size_t count = 0;
    struct server *const *servers = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        *sessions += sessions_if_named(servers[i], server);
    SLIST_FOREACH(srv, &p->removed_servers, in_removed)
        *sessions += sessions_if_named(srv, server);
    return p->retiring == 0;
}

static struct server *pool_find_removed(const struct pool *p, const struct addr *at,
                                        const char *name)
{
    struct server *srv;
    SLIST_FOREACH(srv, &p->removed_servers, in_removed)
        if (addr_equal(&srv->addr, at) && server_is_named(srv, name))
            return srv;
    return NULL;
}

static struct server *pool_add_removed(struct pool *p, const struct addr *at, const char *name)
{
    const struct config_server line = { .name = (char *)name, .weight = 1 };
    struct server *srv = server_new(&line, at);
    if (srv != NULL) {
        SLIST_INSERT_HEAD(&p->removed_servers, srv, in_removed);
        p->events.untidy(p->events.arg);
    }
    return srv;
}

struct server *pool_adopt(struct pool *p, const struct addr *at, const char *name)
{
    struct server *srv = pool_find(p, at, name);
    if (srv == NULL)
        srv = pool_find_removed(p, at, name);
    if (srv == NULL)
        srv = pool_add_removed(p, at, name);
    if (srv == NULL)
        return NULL;
    atomic_fetch_add(&srv->active, 1);
    server_set_changed(pool_set(p), srv, pool_now(p));
    return srv;
}

void pool_restore(struct pool *p, bool paused, uint64_t last_usable)
{
    atomic_store(&p->paused, paused);
    p->last_usable = last_usable;
}

int pool_rebuild(struct pool *p)
{
    if (pool_file(p) != NULL)
        return 0; /* it has no servers */
    pool_mark_stale(p);
    pool_renew_set(p);
    return p->stale ? -ENOMEM : 0;
}

bool pool_is_slow_starting(const struct pool *p, uint64_t now)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        if (server_is_eligible(server[i]) && server_share(server[i], now) < SERVER_FULL_SHARE)
            return true;
    return false;
}
