#include "balance/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive.h"
#include "balance/pool_inside.h"

static uint64_t now_of(const struct pool *p)
{
    return p->events.now(p->events.arg);
}

/* ---- new servers, new settings ---- */

/* A set that was replaced, and the servers that left with it. */
struct retired_set {
    struct pool *pool;
    struct server_set *set;
    struct backend_list leavers;
};

static void release_set(void *what)
{
    struct retired_set *r = what;
    struct backend *b;
    server_set_free(r->set);
    while ((b = SLIST_FIRST(&r->leavers)) != NULL) {
        SLIST_REMOVE_HEAD(&r->leavers, in_leavers);
        SLIST_INSERT_HEAD(&r->pool->leavers, b, in_leavers);
    }
    r->pool->retiring--;
    free(r);
}

/* What the set replaces goes when no worker can see it any more. */
static void publish(struct pool *p, struct server_set *set, struct retired_set *retired)
{
    uint64_t now = now_of(p);
    retired->pool = p;
    retired->set = atomic_exchange(&p->set, set);
    server_set_enter(set, now);
    pool_look_again(p);
    p->stale = false;
    p->retiring++;
    grace_retire(p->grace, release_set, retired);
    p->events.untidy(p->events.arg);
    pool_attend(p, now);
}

struct pool_update {
    struct pool *pool;
    struct roster_plan *plan;
    struct server_set *set;
    struct retired_set *retired;
};

/* All that can fail. Takes plan and file over, also on failure. */
static struct pool_update *prepare(struct pool *p, const struct config_pool *conf,
                                   struct roster_plan *plan, struct answer_file *file)
{
    size_t count = 0;
    const struct server_place *places = roster_plan_places(plan, &count);
    struct pool_update *u = calloc(1, sizeof *u);
    struct retired_set *retired = calloc(1, sizeof *retired);
    roster_try(plan); /* the order of the new set depends on the weights to come */
    struct server_set *set = server_set_new(conf, places, count, file, pool_set(p));
    roster_revert(plan);
    if (u == NULL || retired == NULL || set == NULL) {
        if (set == NULL)
            answer_file_unref(file);
        server_set_free(set);
        roster_plan_free(plan);
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

void pool_abandon(struct pool_update *u)
{
    if (u == NULL)
        return;
    server_set_free(u->set);
    roster_plan_free(u->plan);
    free(u->retired);
    free(u);
}

void pool_commit(struct pool_update *u)
{
    assert(u != NULL);
    struct pool *p = u->pool;
    roster_try(u->plan);
    roster_apply(&p->roster, u->plan, &u->retired->leavers);
    publish(p, u->set, u->retired);
    roster_plan_free(u->plan);
    free(u);
    p->events.changed(p->events.arg, p);
}

int pool_check(const struct config_pool *conf)
{
    struct answer_file *file = conf->file == NULL ? NULL : answer_file_open(conf->file);
    int rc = conf->file != NULL && file == NULL ? -errno : 0;
    answer_file_unref(file);
    return rc;
}

int pool_prepare(struct pool *p, const struct config_pool *conf, struct pool_update **update)
{
    struct answer_file *file = NULL;
    struct roster_plan *plan = NULL;
    if (conf->file != NULL && (file = answer_file_open(conf->file)) == NULL)
        return -errno;
    if (roster_plan_config(&p->roster, conf, &plan) < 0) {
        answer_file_unref(file);
        return -ENOMEM;
    }
    *update = prepare(p, conf, plan, file);
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
    SLIST_INIT(&p->leavers);
    roster_init(&p->roster);
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

static void free_leavers(struct pool *p)
{
    struct backend *b;
    while ((b = SLIST_FIRST(&p->leavers)) != NULL) {
        SLIST_REMOVE_HEAD(&p->leavers, in_leavers);
        backend_free(b);
    }
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    assert(p->retiring == 0);
    server_set_free(pool_set(p));
    free_leavers(p);
    roster_fini(&p->roster);
    queue_fini(&p->queue);
    pthread_mutex_destroy(&p->lock);
    free(p->name);
    free(p);
}

static int update(struct pool *p, struct roster_plan *plan)
{
    struct pool_update *u = prepare(p, pool_conf(p), plan, NULL);
    if (u == NULL)
        return -ENOMEM;
    pool_commit(u);
    return 0;
}

int pool_add_server(struct pool *p, const struct config_server *line)
{
    struct roster_plan *plan = NULL;
    if (pool_file(p) != NULL)
        return -EINVAL;
    int rc = roster_plan_added(&p->roster, pool_conf(p), line, &plan);
    return rc < 0 ? rc : update(p, plan);
}

int pool_del_server(struct pool *p, const struct backend *b)
{
    struct roster_plan *plan = NULL;
    int rc = roster_plan_deleted(&p->roster, pool_conf(p), b, &plan);
    return rc < 0 ? rc : update(p, plan);
}

bool pool_was_added(const struct pool *p, const struct backend *b)
{
    (void)p;
    return b->added;
}

int pool_resolved(struct pool *p, size_t server, const struct pool_answer *answers, size_t count)
{
    struct roster_plan *plan = NULL;
    const struct config_pool *conf = pool_conf(p);
    int rc = roster_plan_answers(&p->roster, conf, server, answers, count, &plan);
    if (rc <= 0)
        return rc;
    rc = update(p, plan);
    return rc < 0 ? rc : 1;
}

/* The set is not as the servers' states and weights say: the next tidying makes a new one. */
static void pool_restate(struct pool *p)
{
    p->stale = true;
    pool_look_again(p);
    p->events.untidy(p->events.arg);
}

/* The same servers, each where its state puts it now. Without memory it stays stale: whom the set
 * should not have is refused all the same. */
static void restack(struct pool *p)
{
    struct server_set *old = pool_set(p);
    struct server_place *places = calloc(p->roster.count + 1, sizeof *places);
    struct retired_set *retired = calloc(1, sizeof *retired);
    struct server_set *set = NULL;
    if (places != NULL && retired != NULL) {
        roster_places(&p->roster, places);
        set = server_set_new(old->conf, places, p->roster.count, NULL, old);
    }
    free(places);
    if (set == NULL)
        free(retired);
    else
        publish(p, set, retired);
}

static void release_backend(void *what)
{
    backend_free(what);
}

/* A session that has just left may still be at work on its server in this wake-up. */
static void bury_leavers(struct pool *p)
{
    struct backend *b = SLIST_FIRST(&p->leavers);
    SLIST_INIT(&p->leavers);
    while (b != NULL) {
        struct backend *next = SLIST_NEXT(b, in_leavers);
        if (backend_active(b) == 0)
            grace_retire(p->grace, release_backend, b);
        else
            SLIST_INSERT_HEAD(&p->leavers, b, in_leavers);
        b = next;
    }
}

bool pool_tidy(struct pool *p)
{
    if (p->stale)
        restack(p);
    bury_leavers(p);
    bool awaited = pool_offer_trials(p, now_of(p));
    return awaited || p->stale || p->retiring > 0 || !SLIST_EMPTY(&p->leavers);
}

bool pool_is_idle(const struct pool *p)
{
    return p->retiring == 0 && SLIST_EMPTY(&p->leavers) && pool_sessions(p) == 0;
}

/* ---- looking at it ---- */

const struct config_pool *pool_conf(const struct pool *p)
{
    return pool_set(p)->conf;
}

const char *pool_name(const struct pool *p)
{
    return p->name;
}

struct answer_file *pool_file(const struct pool *p)
{
    return pool_set(p)->file;
}

struct pool *pool_fallback(const struct pool *p)
{
    return atomic_load(&p->fallback);
}

void pool_set_fallback(struct pool *p, struct pool *fallback)
{
    atomic_store(&p->fallback, fallback);
}

void pool_enter(struct pool *p)
{
    atomic_fetch_add_explicit(&p->sessions, 1, memory_order_relaxed);
}

void pool_exit(struct pool *p)
{
    atomic_fetch_sub_explicit(&p->sessions, 1, memory_order_release);
}

uint64_t pool_sessions(const struct pool *p)
{
    return atomic_load(&p->sessions);
}

void pool_count_failure(struct pool *p)
{
    atomic_fetch_add_explicit(&p->failures, 1, memory_order_relaxed);
}

uint64_t pool_failures(const struct pool *p)
{
    return atomic_load_explicit(&p->failures, memory_order_relaxed);
}

struct backend *const *pool_servers(const struct pool *p, size_t *count)
{
    struct server_set *set = pool_set(p);
    *count = set->count;
    return set->servers;
}

bool pool_is_backup(const struct pool *p, const struct backend *b)
{
    (void)p;
    return b->backup;
}

bool pool_has_one(const struct pool *p)
{
    const struct server_set *set = pool_set(p);
    size_t willing = 0;
    for (size_t i = 0; i < set->count && willing < 2; i++)
        willing += backend_is_willing(set->servers[i]);
    return willing == 1;
}

/* ---- verdicts and wishes ---- */

static void state_changed(struct pool *p, struct backend *b, uint64_t now)
{
    pool_restate(p);
    server_set_changed(pool_set(p), b, now);
}

/* Whether the set has anybody else for new sessions. */
static bool has_hope(const struct pool *p, const struct backend *b)
{
    const struct server_set *set = pool_set(p);
    for (size_t i = 0; i < set->count; i++)
        if (set->servers[i] != b && backend_is_willing(set->servers[i]))
            return true;
    return false;
}

bool pool_set_up(struct pool *p, struct backend *b, bool up, uint64_t now)
{
    if (atomic_exchange(&b->up, up) == up)
        return false;
    if (up) {
        passive_forgive(b);
        backend_ramp(b, now, pool_conf(p)->slow_start);
    }
    bool was_last_hope = up && !has_hope(p, b);
    state_changed(p, b, now);
    if (was_last_hope)
        restack(p); /* clients are being turned away: no later */
    else
        pool_attend(p, now);
    return true;
}

/* The user expects that it is so as soon as it is said: no waiting for the next tidying. */
static void wish_changed(struct pool *p, struct backend *b, uint64_t now)
{
    state_changed(p, b, now);
    restack(p);
}

/* One that comes back has its share grow, as after checks have found it up. */
void pool_set_state(struct pool *p, struct backend *b, enum config_state state, uint64_t now)
{
    int before = atomic_exchange(&b->state, (int)state);
    if (before == (int)state)
        return;
    if (state == CONFIG_STATE_READY) {
        passive_forgive(b);
        backend_ramp(b, now, pool_conf(p)->slow_start);
    }
    wish_changed(p, b, now);
}

void pool_set_weight(struct pool *p, struct backend *b, unsigned weight, uint64_t now)
{
    if (atomic_exchange(&b->weight, weight) != weight)
        wish_changed(p, b, now);
}

/* ---- from another process ---- */

const struct pool_answer *pool_answers(const struct pool *p, size_t server, size_t *count)
{
    return roster_answers(&p->roster, &pool_conf(p)->server[server], count);
}

struct backend *pool_find(const struct pool *p, const struct addr *at, const char *name)
{
    size_t count = 0;
    struct backend *const *servers = pool_servers(p, &count);
    struct backend *found = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!addr_equal(&servers[i]->addr, at))
            continue;
        if (backend_is_named(servers[i], name))
            return servers[i];
        found = servers[i];
    }
    return found;
}

static struct backend *find_leaver(const struct pool *p, const struct addr *at, const char *name)
{
    struct backend *b;
    SLIST_FOREACH(b, &p->leavers, in_leavers)
        if (addr_equal(&b->addr, at) && backend_is_named(b, name))
            return b;
    return NULL;
}

static struct backend *make_leaver(struct pool *p, const struct addr *at, const char *name)
{
    const struct config_server line = { .name = (char *)name, .weight = 1 };
    struct backend *b = backend_new(&line, at);
    if (b != NULL) {
        SLIST_INSERT_HEAD(&p->leavers, b, in_leavers);
        p->events.untidy(p->events.arg);
    }
    return b;
}

struct backend *pool_adopt(struct pool *p, const struct addr *at, const char *name)
{
    struct backend *b = pool_find(p, at, name);
    if (b == NULL)
        b = find_leaver(p, at, name);
    if (b == NULL)
        b = make_leaver(p, at, name);
    if (b == NULL)
        return NULL;
    atomic_fetch_add(&b->active, 1);
    server_set_changed(pool_set(p), b, now_of(p));
    return b;
}

int pool_rebuild(struct pool *p)
{
    if (pool_file(p) != NULL)
        return 0; /* it has no servers */
    pool_restate(p);
    restack(p);
    return p->stale ? -ENOMEM : 0;
}
