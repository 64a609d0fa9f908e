#include "balance/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "balance/passive_check.h"
#include "balance/pool_internal.h"
#include "base/log.h"

/* ---- the pool ---- */

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
    /* acquire: pairs with the release in pool_set_fallback() */
    return atomic_load_explicit(&p->fallback, memory_order_acquire);
}

void pool_ref(struct pool *p)
{
    atomic_fetch_add_explicit(&p->sessions, 1, memory_order_relaxed);
}

void pool_unref(struct pool *p)
{
    /* release: the session's accesses to the pool come before the new count */
    atomic_fetch_sub_explicit(&p->sessions, 1, memory_order_release);
}

uint64_t pool_sessions(const struct pool *p)
{
    /* acquire: pairs with the release in pool_unref(); at 0 the pool may be freed */
    return atomic_load_explicit(&p->sessions, memory_order_acquire);
}

void pool_count_failure(struct pool *p)
{
    counter_add_shared(&p->failures, 1);
}

uint64_t pool_failures(const struct pool *p)
{
    return counter_get(&p->failures);
}

bool pool_has_single_server(const struct pool *p)
{
    const struct server_set *set = pool_set(p);
    size_t willing = 0;
    for (size_t i = 0; i < set->count && willing < 2; i++)
        willing += server_is_eligible(set->servers[i]);
    return willing == 1;
}

/* ---- picking ---- */

/* A slot may come free on a server that the session has not tried: a usable one or, if no server is
 * usable, an eligible one. */
static enum pool_refusal refusal_of(const struct server_set *set, const struct pool_tried *tried,
                                    uint64_t now)
{
    bool any_usable = server_set_is_usable(set, now);
    for (size_t i = 0; i < set->count; i++) {
        const struct server *srv = set->servers[i];
        bool could = any_usable ? server_is_usable(srv, now) : server_is_eligible(srv);
        if (could && !pool_was_tried(tried, srv))
            return POOL_FULL;
    }
    return POOL_NO_SERVER;
}

/* Updates the order for the present time, if due; one thread does so for all. acquire: it sees the
 * changes of the threads that asked for the review. */
static void review(struct pool *p, struct server_set *set, uint64_t now)
{
    uint64_t at = atomic_load_explicit(&p->review_at, memory_order_relaxed);
    if (now < at ||
        !atomic_compare_exchange_strong_explicit(&p->review_at, &at, UINT64_MAX,
                                                 memory_order_acquire, memory_order_relaxed))
        return;
    uint64_t next = server_set_review(set, now);
    uint64_t never = UINT64_MAX;
    atomic_compare_exchange_strong_explicit(&p->review_at, &never, next, memory_order_relaxed,
                                            memory_order_relaxed); /* unless asked for again */
}

struct server *pool_pick(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal)
{
    struct server_set *set = pool_set(p);
    review(p, set, r->now);
    struct server *srv = server_set_pick(set, r);
    if (srv == NULL)
        *refusal = refusal_of(set, r->tried, r->now);
    return srv;
}

struct server *pool_peek(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal)
{
    struct server_set *set = pool_set(p);
    review(p, set, r->now);
    struct server *srv = server_set_peek(set, r);
    if (srv == NULL)
        *refusal = refusal_of(set, r->tried, r->now);
    return srv;
}

int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct server *srv)
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
    (*tried)->serial[count] = srv->serial;
    (*tried)->count = (uint16_t)(count + 1);
    return 0;
}

/* ---- slots and waiting sessions ---- */

static bool is_in_use(const struct pool *p, const struct server *srv, uint64_t now)
{
    struct server_set *set = pool_set(p);
    return server_set_has(set, srv) && server_is_usable(srv, now) && !passive_check_is_out(srv);
}

/* Grants a free slot on srv to the session that has waited longest, if pool_pick() would: as a
 * probe if srv is out, and as the last resort if no server is usable. */
static bool pool_offer_slot(struct pool *p, struct server *srv, uint64_t now)
{
    struct server_set *set = pool_set(p);
    if (queue_length(&p->queue) == 0 || !server_set_has(set, srv) || !server_is_eligible(srv))
        return false;
    bool fine = passive_check_probe_begin(srv, now);
    if (!fine && server_set_is_usable(set, now))
        return false;
    if (queue_offer(&p->queue, srv))
        return true;
    if (fine && passive_check_is_out(srv))
        passive_check_probe_cancel(srv);
    return false;
}

/* Updates the order first: a session that found no slot in it is in the queue by then. */
static void pool_offer_server(struct pool *p, struct server *srv, uint64_t now)
{
    server_set_changed(pool_set(p), srv, now);
    while (pool_offer_slot(p, srv, now))
        server_set_changed(pool_set(p), srv, now);
}

static void pool_offer_all_servers(struct pool *p, uint64_t now)
{
    struct server_set *set = pool_set(p);
    for (size_t i = 0; i < set->count && queue_length(&p->queue) > 0; i++)
        pool_offer_server(p, set->servers[i], now);
}

/* Selects sessions that wait although no server is left, or none that they have not tried. */
struct waiter_filter {
    const struct server_set *set;
    uint64_t now;
    bool no_server_left; /* for any session */
};

static bool is_hopeless(void *arg, const struct pool_tried *tried)
{
    const struct waiter_filter *filter = arg;
    return filter->no_server_left ||
           (tried != NULL && refusal_of(filter->set, tried, filter->now) == POOL_NO_SERVER);
}

void pool_serve_waiters(struct pool *p, uint64_t now)
{
    const struct server_set *set = pool_set(p);
    if (queue_length(&p->queue) == 0)
        return;
    pool_offer_all_servers(p, now);
    struct waiter_filter filter = {
        .set = set,
        .now = now,
        .no_server_left = refusal_of(set, NULL, now) == POOL_NO_SERVER,
    };
    queue_reject(&p->queue, is_hopeless, &filter);
}

/* Whether time alone may bring a slot: sessions wait, and a server is out that will be probed. */
static bool are_probes_awaited(const struct pool *p)
{
    const struct server_set *set = pool_set(p);
    bool any = false;
    for (size_t i = 0; i < set->count && !any && queue_length(&p->queue) > 0; i++)
        any = passive_check_is_out(set->servers[i]);
    return any;
}

static void await_probes(struct pool *p)
{
    if (are_probes_awaited(p) && !atomic_exchange(&p->awaits_probes, true))
        p->events.untidy(p->events.arg);
}

/* seq_cst, here and in await_probes(): a session that joins the queue either finds awaits_probes
 * false or is found in the queue here. */
bool pool_offer_probes(struct pool *p, uint64_t now)
{
    atomic_store(&p->awaits_probes, false);
    bool awaited = are_probes_awaited(p);
    if (!awaited)
        return false;
    atomic_store(&p->awaits_probes, true);
    pool_offer_all_servers(p, now);
    return true;
}

/* Releases the slot before looking at the queue again: a session that has joined meanwhile either
 * finds the slot or is found in the queue. */
void pool_release(struct pool *p, struct server *srv, uint64_t now)
{
    if (queue_length(&p->queue) > 0 && is_in_use(p, srv, now) && !server_is_over_limit(srv) &&
        queue_grant(&p->queue, srv))
        return;
    server_release(srv);
    pool_offer_server(p, srv, now);
}

/* Joins the queue first, and then picks: a slot that comes free in between is granted through the
 * inbox, one that was free before is found by the pick. */
int pool_enqueue(struct pool *p, struct waiter *w, uint64_t key, uint64_t now, struct server **srv)
{
    const struct pick_request r = { .key = key, .now = now, .tried = w->tried };
    enum pool_refusal refusal = POOL_NO_SERVER;
    if (!queue_enqueue(&p->queue, w, pool_conf(p)->max_queue))
        return -EAGAIN;
    *srv = pool_pick(p, &r, &refusal);
    if (*srv == NULL && refusal == POOL_FULL) {
        await_probes(p);
        return 0;
    }
    pool_cancel(p, w, now);
    return *srv == NULL ? -ENOENT : 1;
}

void pool_cancel(struct pool *p, struct waiter *w, uint64_t now)
{
    struct server *granted = queue_cancel(&p->queue, w);
    if (granted == NULL)
        return;
    pool_connect_cancelled(p, granted, now);
    pool_release(p, granted, now);
}

uint64_t pool_waiting(const struct pool *p)
{
    return queue_length(&p->queue);
}

/* ---- results of connects ---- */

static void pool_log_passive_check(const struct pool *p, const struct server *srv,
                                   enum log_level level, const char *event)
{
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    if (!log_is_enabled(level))
        return;
    log_begin(&line, level, event);
    log_str(&line, "pool", p->name);
    log_str(&line, "server", server_name(srv));
    log_str(&line, "server_addr", addr_print(&srv->addr, text));
    log_end(&line);
}

void pool_connected(struct pool *p, struct server *srv, uint64_t now)
{
    struct server_set *set = pool_set(p);
    counter_add_shared(&srv->counter[SERVER_CONNECTIONS], 1);
    if (!passive_check_is_out(srv))
        return;
    if (!passive_check_probe_passed(srv, now)) {
        if (server_set_is_usable(set, now))
            return;
        passive_check_reset(srv); /* it works, and no server is usable */
    }
    server_start_slow_start(srv, now, set->conf->slow_start);
    pool_schedule_review(p);
    pool_log_passive_check(p, srv, LOG_LEVEL_NOTICE, "server_back");
    pool_offer_server(p, srv, now);
}

/* Whether no other server can take sessions. Such a server is not taken out: to try it is better
 * than to refuse the client. */
static bool is_last(const struct server_set *set, const struct server *srv)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct server *other = set->servers[i];
        if (other != srv && server_is_eligible(other) && !passive_check_is_out(other))
            return false;
    }
    return true;
}

static bool pool_take_out(struct pool *p, const struct server_set *set, struct server *srv,
                          uint64_t until)
{
    pthread_mutex_lock(&p->lock); /* otherwise two workers could take out the last two servers */
    bool out = !passive_check_is_out(srv) && !is_last(set, srv);
    if (out)
        passive_check_take_out(srv, until);
    pthread_mutex_unlock(&p->lock);
    return out;
}

void pool_connect_failed(struct pool *p, struct server *srv, uint64_t now)
{
    struct server_set *set = pool_set(p);
    const struct config_pool *c = set->conf;
    uint64_t until = now + c->fail_timeout;
    counter_add_shared(&srv->counter[SERVER_FAILURES], 1);
    if (passive_check_is_out(srv)) {
        passive_check_probe_failed(srv, now, until);
    } else if (passive_check_count(srv, now, c->max_fails, c->fail_timeout) &&
               pool_take_out(p, set, srv, until)) {
        pool_log_passive_check(p, srv, LOG_LEVEL_WARNING, "server_out");
        pool_serve_waiters(p, now);
        await_probes(p);
    }
    pool_schedule_review(p);
    server_set_changed(set, srv, now);
}

void pool_connect_refused(struct pool *p, struct server *srv, uint64_t client, uint64_t now)
{
    if (passive_check_refuses_all(srv, client, now, pool_conf(p)->fail_timeout))
        pool_connect_failed(p, srv, now);
    else
        pool_connect_cancelled(p, srv, now);
}

void pool_connect_cancelled(struct pool *p, struct server *srv, uint64_t now)
{
    if (!passive_check_is_out(srv))
        return;
    passive_check_probe_cancel(srv);
    pool_schedule_review(p);
    server_set_changed(pool_set(p), srv, now);
}
