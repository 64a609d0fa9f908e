#include "balance/pool.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive.h"
#include "balance/roster.h"
#include "balance/server_set.h"
#include "base/log.h"

struct pool {
    struct grace *grace;
    struct pool_events events;
    char *name;
    _Atomic(struct server_set *) set;
    _Atomic(struct pool *) fallback;
    _Atomic uint64_t sessions;
    _Atomic uint64_t failures;
    _Atomic uint64_t review_at; /* ms: when time changes a server next */
    struct queue queue;
    _Atomic bool ticking; /* pool_tidy() is called again and again, for those who wait */
    pthread_mutex_t lock; /* of the decision to take a server out */

    /* the control thread's */
    struct roster roster;
    struct backend_list leavers; /* no longer in the set; sessions may be on them */
    size_t retiring;             /* sets, and servers, that workers may still see */
    bool stale;                  /* the set leaves out, or has, servers that it should not */
};

static struct server_set *set_of(const struct pool *p)
{
    return atomic_load_explicit(&p->set, memory_order_acquire);
}

static uint64_t now_of(const struct pool *p)
{
    return p->events.now(p->events.arg);
}

static void attend(struct pool *p, uint64_t now);
static bool offer_trials(struct pool *p);

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

static void look_again(struct pool *p)
{
    atomic_store(&p->review_at, 0);
}

/* What the set replaces goes when no worker can see it any more. */
static void publish(struct pool *p, struct server_set *set, struct retired_set *retired)
{
    uint64_t now = now_of(p);
    retired->pool = p;
    retired->set = atomic_exchange(&p->set, set);
    server_set_enter(set, now);
    look_again(p);
    p->stale = false;
    p->retiring++;
    grace_retire(p->grace, release_set, retired);
    p->events.untidy(p->events.arg);
    attend(p, now);
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
    struct server_set *set = server_set_new(conf, places, count, file, set_of(p));
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
    server_set_free(set_of(p));
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
    return roster_was_added(&p->roster, b);
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

/* The same servers, each where its state puts it now. Without memory it stays stale: whom the set
 * should not have is refused all the same. */
static void restack(struct pool *p)
{
    struct server_set *old = set_of(p);
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
    bool awaited = offer_trials(p);
    return awaited || p->stale || p->retiring > 0 || !SLIST_EMPTY(&p->leavers);
}

bool pool_is_idle(const struct pool *p)
{
    return p->retiring == 0 && SLIST_EMPTY(&p->leavers) && pool_sessions(p) == 0;
}

/* ---- looking at it ---- */

const struct config_pool *pool_conf(const struct pool *p)
{
    return set_of(p)->conf;
}

const char *pool_name(const struct pool *p)
{
    return p->name;
}

struct answer_file *pool_file(const struct pool *p)
{
    return set_of(p)->file;
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
    struct server_set *set = set_of(p);
    *count = set->count;
    return set->servers;
}

bool pool_is_backup(const struct pool *p, const struct backend *b)
{
    return roster_is_backup(&p->roster, b);
}

bool pool_has_one(const struct pool *p)
{
    const struct server_set *set = set_of(p);
    size_t willing = 0;
    for (size_t i = 0; i < set->count && willing < 2; i++)
        willing += backend_is_willing(set->servers[i]);
    return willing == 1;
}

/* ---- picking ---- */

/* Somebody could be had who only has no place now. */
static enum pool_lack lack_of(const struct server_set *set, const struct set_request *r)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct backend *b = set->servers[i];
        bool could = r->desperate ? backend_is_willing(b) : backend_is_usable(b, r->now);
        if (could && !pool_was_tried(r->tried, b))
            return POOL_FULL;
    }
    return POOL_NONE;
}

/* One worker does it for all. */
static void review(struct pool *p, struct server_set *set, uint64_t now)
{
    uint64_t at = atomic_load_explicit(&p->review_at, memory_order_relaxed);
    if (now < at || !atomic_compare_exchange_strong(&p->review_at, &at, UINT64_MAX))
        return;
    uint64_t next = server_set_review(set, now);
    uint64_t never = UINT64_MAX;
    atomic_compare_exchange_strong(&p->review_at, &never, next); /* unless it is to look again */
}

static struct backend *pick(struct pool *p, const struct pool_request *r, bool dry,
                            enum pool_lack *lack)
{
    struct server_set *set = set_of(p);
    struct set_request ask = { .key = r->key, .now = r->now, .tried = r->tried, .dry = dry };
    review(p, set, r->now);
    struct backend *b = server_set_pick(set, &ask);
    if (b == NULL && !server_set_is_usable(set, r->now)) {
        ask.desperate = true;
        b = server_set_pick(set, &ask);
    }
    if (b == NULL)
        *lack = lack_of(set, &ask);
    return b;
}

struct backend *pool_pick(struct pool *p, const struct pool_request *r, enum pool_lack *lack)
{
    return pick(p, r, false, lack);
}

struct backend *pool_foresee(struct pool *p, const struct pool_request *r, enum pool_lack *lack)
{
    return pick(p, r, true, lack);
}

int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct backend *b)
{
    size_t room = (size_t)pool_conf(p)->retries + 1;
    size_t count = *tried == NULL ? 0 : (*tried)->count;
    if (count >= room || *tried == NULL) { /* a reload may have raised retries meanwhile */
        room = count >= room ? count + 1 : room;
        struct pool_tried *more =
            realloc(*tried, sizeof **tried + room * sizeof(*tried)->serial[0]);
        if (more == NULL)
            return -ENOMEM;
        *tried = more;
    }
    (*tried)->serial[count] = b->serial;
    (*tried)->count = (uint16_t)(count + 1);
    return 0;
}

/* ---- places, and who waits for one ---- */

static bool is_in_use(const struct pool *p, const struct backend *b, uint64_t now)
{
    struct server_set *set = set_of(p);
    return server_set_has(set, b) && backend_is_usable(b, now) && !passive_is_out(b);
}

/* Hands a free place on b to who has waited longest, if pool_pick() would: as its trial where it
 * was taken out, and as the last resort where nobody else is usable. */
static bool hand_out(struct pool *p, struct backend *b, uint64_t now)
{
    struct server_set *set = set_of(p);
    if (queue_length(&p->queue) == 0 || !server_set_has(set, b) || !backend_is_willing(b))
        return false;
    bool fine = passive_begin_trial(b, now);
    if (!fine && server_set_is_usable(set, now))
        return false;
    if (queue_offer(&p->queue, b))
        return true;
    if (fine && passive_is_out(b))
        passive_trial_left(b);
    return false;
}

/* The order is told of free places first: whoever has looked there in vain stands in the queue by
 * now. */
static void offer(struct pool *p, struct backend *b, uint64_t now)
{
    server_set_changed(set_of(p), b, now);
    while (hand_out(p, b, now))
        server_set_changed(set_of(p), b, now);
}

static void offer_all(struct pool *p, uint64_t now)
{
    struct server_set *set = set_of(p);
    for (size_t i = 0; i < set->count && queue_length(&p->queue) > 0; i++)
        offer(p, set->servers[i], now);
}

/* Who waits while nobody, or nobody but those it has tried, is left to wait for. */
struct outlook {
    const struct server_set *set;
    struct set_request request;
    bool bleak; /* for everybody */
};

static bool waits_in_vain(void *arg, const struct pool_tried *tried)
{
    struct outlook *o = arg;
    o->request.tried = tried;
    return o->bleak || (tried != NULL && lack_of(o->set, &o->request) == POOL_NONE);
}

/* There are other servers, or fewer that can be had: whoever waits is given what there is, or sent
 * back to look elsewhere. */
static void attend(struct pool *p, uint64_t now)
{
    const struct server_set *set = set_of(p);
    struct outlook o = { .set = set, .request.now = now };
    if (queue_length(&p->queue) == 0)
        return;
    offer_all(p, now);
    o.request.desperate = !server_set_is_usable(set, now);
    o.bleak = lack_of(set, &o.request) == POOL_NONE;
    queue_dismiss(&p->queue, waits_in_vain, &o);
}

/* Whether time alone may bring a place for who waits: on a server that may be tried again. */
static bool are_trials_awaited(const struct pool *p)
{
    const struct server_set *set = set_of(p);
    bool any = false;
    for (size_t i = 0; i < set->count && !any && queue_length(&p->queue) > 0; i++)
        any = passive_is_out(set->servers[i]);
    return any;
}

static void await_trials(struct pool *p)
{
    if (are_trials_awaited(p) && !atomic_exchange(&p->ticking, true))
        p->events.untidy(p->events.arg);
}

/* Who comes while it stops ticking either sees that or is seen here. */
static bool offer_trials(struct pool *p)
{
    atomic_store(&p->ticking, false);
    bool awaited = are_trials_awaited(p);
    if (!awaited)
        return false;
    atomic_store(&p->ticking, true);
    offer_all(p, now_of(p));
    return true;
}

/* The place is given back before the queue is looked at again: whoever has joined it meanwhile
 * either sees the place or is seen here. */
void pool_release(struct pool *p, struct backend *b, uint64_t now)
{
    if (queue_length(&p->queue) > 0 && is_in_use(p, b, now) && !backend_is_over(b) &&
        queue_grant(&p->queue, b))
        return;
    backend_release(b);
    offer(p, b, now);
}

/* Once it is in the queue any thread may hand it a place, which it finds in its inbox, and nowhere
 * else: so what came free before it stood there is told apart. */
int pool_wait(struct pool *p, struct waiter *w, uint64_t key, uint64_t now, struct backend **b)
{
    const struct pool_request r = { .key = key, .now = now, .tried = w->tried };
    enum pool_lack lack = POOL_NONE;
    if (!queue_join(&p->queue, w, pool_conf(p)->max_queue))
        return -EAGAIN;
    *b = pool_pick(p, &r, &lack);
    if (*b == NULL && lack == POOL_FULL) {
        await_trials(p);
        return 0;
    }
    pool_leave(p, w, now);
    return *b == NULL ? -ENOENT : 1;
}

void pool_leave(struct pool *p, struct waiter *w, uint64_t now)
{
    struct backend *granted = queue_quit(&p->queue, w);
    if (granted == NULL)
        return;
    pool_connect_left(p, granted, now);
    pool_release(p, granted, now);
}

uint64_t pool_waiting(const struct pool *p)
{
    return queue_length(&p->queue);
}

/* ---- what came of a connect ---- */

static void say_passive(const struct pool *p, const struct backend *b, enum log_level level,
                        const char *event)
{
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    if (!log_wanted(level))
        return;
    log_begin(&line, level, event);
    log_str(&line, "pool", p->name);
    log_str(&line, "server", backend_name(b));
    log_str(&line, "server_addr", addr_print(&b->addr, text));
    log_end(&line);
}

void pool_connected(struct pool *p, struct backend *b, uint64_t now)
{
    struct server_set *set = set_of(p);
    atomic_fetch_add_explicit(&b->connections, 1, memory_order_relaxed);
    if (!passive_is_out(b))
        return;
    if (!passive_trial_passed(b, now)) {
        if (server_set_is_usable(set, now))
            return;
        passive_forgive(b); /* taken out, it is the only one that works */
    }
    backend_ramp(b, now, set->conf->slow_start);
    look_again(p);
    say_passive(p, b, LOG_LEVEL_NOTICE, "server_back");
    offer(p, b, now);
}

/* The last one that sessions can be sent to stays, whatever it does: to try it is better than to
 * have nobody. */
static bool is_last(const struct server_set *set, const struct backend *b)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct backend *other = set->servers[i];
        if (other != b && backend_is_willing(other) && !passive_is_out(other))
            return false;
    }
    return true;
}

static bool take_out(struct pool *p, const struct server_set *set, struct backend *b,
                     uint64_t until)
{
    pthread_mutex_lock(&p->lock); /* or two workers would take out the last two */
    bool out = !passive_is_out(b) && !is_last(set, b);
    if (out)
        passive_take_out(b, until);
    pthread_mutex_unlock(&p->lock);
    return out;
}

void pool_connect_failed(struct pool *p, struct backend *b, uint64_t now)
{
    struct server_set *set = set_of(p);
    const struct config_pool *c = set->conf;
    uint64_t until = now + c->fail_timeout;
    atomic_fetch_add_explicit(&b->failures, 1, memory_order_relaxed);
    if (passive_is_out(b)) {
        passive_trial_failed(b, now, until);
    } else if (passive_count(b, now, c->max_fails, c->fail_timeout) && take_out(p, set, b, until)) {
        say_passive(p, b, LOG_LEVEL_WARNING, "server_out");
        attend(p, now);
        await_trials(p);
    }
    look_again(p);
    server_set_changed(set, b, now);
}

void pool_connect_left(struct pool *p, struct backend *b, uint64_t now)
{
    if (!passive_is_out(b))
        return;
    passive_trial_left(b);
    look_again(p);
    server_set_changed(set_of(p), b, now);
}

/* ---- verdicts and wishes ---- */

static void state_changed(struct pool *p, struct backend *b, uint64_t now)
{
    pool_restate(p);
    server_set_changed(set_of(p), b, now);
}

/* Whether the set has anybody else for new sessions. */
static bool has_hope(const struct pool *p, const struct backend *b)
{
    const struct server_set *set = set_of(p);
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
        attend(p, now);
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
    server_set_changed(set_of(p), b, now_of(p));
    return b;
}

void pool_restate(struct pool *p)
{
    p->stale = true;
    look_again(p);
    p->events.untidy(p->events.arg);
}
