#include "balance/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "balance/connect_time.h"
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

bool pool_waits_when_down(const struct pool *p)
{
    return pool_conf(p)->queue_when == CONFIG_QUEUE_DOWN && !atomic_load(&p->dropped);
}

bool pool_is_paused(const struct pool *p)
{
    return atomic_load(&p->paused);
}

bool pool_is_closed(const struct pool *p)
{
    return pool_is_paused(p) && pool_file(p) == NULL && pool_conf(p)->max_queue == 0;
}

/* ---- picking ---- */

/* A slot may come free on a server that the session has not tried: a usable one or, if no server is
 * usable, an eligible one. */
enum pool_refusal pool_refusal(const struct pool *p, const struct pool_tried *tried, uint64_t now)
{
    const struct server_set *set = pool_set(p);
    if (pool_is_paused(p))
        return atomic_load(&p->dropped) ? POOL_NO_SERVER : POOL_PAUSED;
    bool any_usable = server_set_is_usable(set, now);
    for (size_t i = 0; i < set->count; i++) {
        const struct server *srv = set->servers[i];
        bool could = any_usable ? server_is_usable(srv, now) : server_is_eligible(srv);
        if (could && !pool_was_tried(tried, srv))
            return POOL_FULL;
    }
    return pool_waits_when_down(p) ? POOL_DOWN : POOL_NO_SERVER;
}

/* Updates the order for the present time, if due; one thread does so for all. acquire: it sees the
 * changes of the threads that asked for the review. */
void pool_review(struct pool *p, struct server_set *set, uint64_t now)
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

/* Whether a session may take no slot although one may be free: the pool is paused, or others wait
 * for its servers to come up, and have come before. */
static bool must_wait(const struct pool *p, const struct pick_request *r)
{
    return pool_is_paused(p) || (!r->due && pool_waits_when_down(p) && queue_length(&p->queue) > 0);
}

struct server *pool_pick(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal)
{
    struct server_set *set = pool_set(p);
    struct server *srv = NULL;
    pool_review(p, set, r->now);
    if (!must_wait(p, r))
        srv = server_set_pick(set, r, pool_prefers_below(p));
    if (srv == NULL)
        *refusal = pool_refusal(p, r->tried, r->now);
    return srv;
}

struct server *pool_peek(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal)
{
    struct server_set *set = pool_set(p);
    struct server *srv = NULL;
    pool_review(p, set, r->now);
    if (!must_wait(p, r))
        srv = server_set_peek(set, r, pool_prefers_below(p));
    if (srv == NULL)
        *refusal = pool_refusal(p, r->tried, r->now);
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

/* ---- results of connects ---- */

static void pool_log_back(const struct pool *p, const struct server *srv)
{
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "server_back");
    log_str(&line, "pool", p->name);
    log_str(&line, "server", server_name(srv));
    log_str(&line, "server_addr", addr_print(&srv->addr, text));
    log_end(&line);
}

static void pool_log_out(const struct pool *p, const struct server *srv)
{
    struct log_line line;
    char text[ADDR_TEXT_MAX];
    char why[SERVER_FAILURE_MAX];
    if (!log_is_enabled(LOG_LEVEL_WARNING))
        return;
    server_failure(srv, why);
    log_begin(&line, LOG_LEVEL_WARNING, "server_out");
    log_str(&line, "pool", p->name);
    log_str(&line, "server", server_name(srv));
    log_str(&line, "server_addr", addr_print(&srv->addr, text));
    if (why[0] != '\0')
        log_str(&line, "error", why);
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
    pool_comes_up(srv, now, set->conf);
    pool_schedule_review(p);
    pool_log_back(p, srv);
    queue_forget_tried(&p->queue, srv);
    pool_offer_server(p, srv, now);
}

/* Whether no other server can take sessions. Such a server is not taken out: to try it is better
 * than to refuse the client. Where clients wait instead of being refused, it is taken out, but not
 * for long. */
static bool is_last(const struct server_set *set, const struct server *srv)
{
    for (size_t i = 0; i < set->count; i++) {
        const struct server *other = set->servers[i];
        if (other != srv && server_is_eligible(other) && !passive_check_is_out(other))
            return false;
    }
    return true;
}

static bool probes_last(const struct pool *p, const struct server_set *set,
                        const struct server *srv)
{
    return pool_waits_when_down(p) && is_last(set, srv);
}

static bool pool_take_out(struct pool *p, const struct server_set *set, struct server *srv,
                          uint64_t now, uint64_t until)
{
    pthread_mutex_lock(&p->lock); /* otherwise two workers could take out the last two servers */
    bool last = is_last(set, srv);
    bool out = !passive_check_is_out(srv) && (!last || pool_waits_when_down(p));
    if (out)
        passive_check_take_out(srv, last ? pool_probe_at(now, until) : until);
    pthread_mutex_unlock(&p->lock);
    return out;
}

void pool_connect_took(struct pool *p, struct server *srv, uint64_t us, bool failed, uint64_t now)
{
    struct server_set *set = pool_set(p);
    if (set->conf->balance != CONFIG_BALANCE_LEAST_TIME)
        return;
    connect_time_add(&srv->connect_time,
                     failed && us < CONNECT_TIME_FAILED ? CONNECT_TIME_FAILED : us, now);
    server_set_changed(set, srv, now);
}

void pool_connect_abandoned(struct pool *p, struct server *srv, uint64_t us, uint64_t now)
{
    if (us > connect_time_average(&srv->connect_time))
        pool_connect_took(p, srv, us, false, now);
}

uint64_t pool_connect_time(const struct pool *p, const struct server *srv)
{
    bool kept = pool_conf(p)->balance == CONFIG_BALANCE_LEAST_TIME;
    return kept ? connect_time_average(&srv->connect_time) : 0;
}

void pool_connect_failed(struct pool *p, struct server *srv, uint64_t now)
{
    struct server_set *set = pool_set(p);
    const struct config_pool *c = set->conf;
    uint64_t until = now + c->fail_timeout;
    counter_add_shared(&srv->counter[SERVER_FAILURES], 1);
    if (passive_check_is_out(srv)) {
        passive_check_probe_failed(srv, now,
                                   probes_last(p, set, srv) ? pool_probe_at(now, until) : until);
    } else if (passive_check_count(srv, now, c->max_fails, c->fail_timeout) &&
               pool_take_out(p, set, srv, now, until)) {
        pool_log_out(p, srv);
        pool_serve_waiters(p, now);
        pool_await_time(p, now);
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
