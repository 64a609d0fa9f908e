#include "balance/pool.h"

#include <errno.h>

#include "balance/passive_check.h"
#include "balance/pool_internal.h"
#include "balance/server_set.h"

#define PROBE_PAUSE 1000 /* ms between probes of a server while sessions wait for any server */

uint64_t pool_probe_at(uint64_t now, uint64_t until)
{
    return until < now + PROBE_PAUSE ? until : now + PROBE_PAUSE;
}

/* Whether srv is in the current set, usable, and not out. */
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
    if (queue_length(&p->queue) == 0 || pool_is_paused(p) || !server_set_has(set, srv) ||
        !server_is_eligible(srv))
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

struct dispatch {
    struct pool *pool;
    struct server_set *set;
    uint64_t now;
};

static struct server *dispatch_pick(void *arg, const struct waiter *w)
{
    const struct dispatch *d = arg;
    const struct pick_request r = {
        .key = w->key, .now = d->now, .tried = w->tried, .waiting = queue_length(&d->pool->queue)
    };
    return server_set_pick(d->set, &r, pool_prefers_below(d->pool));
}

/* Gives slots to the waiting sessions, in their order, by the policy. */
static void pool_dispatch(struct pool *p, uint64_t now)
{
    struct dispatch d = { p, pool_set(p), now };
    if (queue_length(&p->queue) == 0 || pool_is_paused(p))
        return;
    pool_review(p, d.set, now);
    while (queue_dispatch(&p->queue, dispatch_pick, &d))
        ;
}

/* Updates the policy's order before looking at the queue: a session that found no slot in the old
 * order is in the queue by then. */
void pool_offer_server(struct pool *p, struct server *srv, uint64_t now)
{
    server_set_changed(pool_set(p), srv, now);
    if (pool_waits_when_down(p)) {
        pool_dispatch(p, now);
        pool_await_time(p, now);
        return;
    }
    while (pool_offer_slot(p, srv, now))
        server_set_changed(pool_set(p), srv, now);
}

/* Selects sessions that wait although no server is left, or none that they have not tried. */
struct waiter_filter {
    struct pool *pool;
    uint64_t now;
    bool all;
};

static bool is_hopeless(void *arg, const struct pool_tried *tried)
{
    const struct waiter_filter *filter = arg;
    return filter->all ||
           (tried != NULL && pool_refusal(filter->pool, tried, filter->now) == POOL_NO_SERVER);
}

void pool_serve_waiters(struct pool *p, uint64_t now)
{
    if (queue_length(&p->queue) == 0)
        return;
    pool_dispatch(p, now);
    struct waiter_filter filter = {
        .pool = p,
        .now = now,
        .all = pool_file(p) != NULL || pool_refusal(p, NULL, now) == POOL_NO_SERVER,
    };
    queue_reject(&p->queue, is_hopeless, &filter);
    pool_await_time(p, now);
}

/* Whether time alone may bring a slot: sessions wait, and a server is out that will be probed, or a
 * slow start holds them back. */
static bool is_time_awaited(const struct pool *p, uint64_t now)
{
    const struct server_set *set = pool_set(p);
    bool any = false;
    if (pool_is_paused(p))
        return false;
    for (size_t i = 0; i < set->count && !any && queue_length(&p->queue) > 0; i++)
        any = passive_check_is_out(set->servers[i]) ||
              (set->conf->queue_when == CONFIG_QUEUE_DOWN &&
               server_share(set->servers[i], now) < SERVER_FULL_SHARE);
    return any;
}

/* awaits_time is seq_cst, here and in pool_offer_in_time(): a session that has joined the queue
 * either finds it false, and requests a call, or is found in the queue by that call. */
void pool_await_time(struct pool *p, uint64_t now)
{
    if (!atomic_load(&p->awaits_time) && is_time_awaited(p, now) &&
        !atomic_exchange(&p->awaits_time, true))
        p->events.untidy(p->events.arg);
}

/* While sessions wait for any server at all, each server is probed soon, even if it was taken out
 * for longer when others were usable. */
static void probe_soon(struct pool *p, uint64_t now)
{
    const struct server_set *set = pool_set(p);
    if (!pool_waits_when_down(p) || server_set_is_usable(set, now))
        return;
    for (size_t i = 0; i < set->count; i++)
        if (atomic_load(&set->servers[i]->out_until) > now + PROBE_PAUSE)
            atomic_store(&set->servers[i]->out_until, now + PROBE_PAUSE);
    pool_schedule_review(p);
}

bool pool_offer_in_time(struct pool *p, uint64_t now)
{
    if (atomic_exchange(&p->awaits_time, false)) {
        probe_soon(p, now);
        pool_dispatch(p, now);
    }
    if (!is_time_awaited(p, now))
        return false;
    atomic_store(&p->awaits_time, true);
    if (pool_waits_when_down(p))
        p->events.untidy(p->events.arg); /* pool_tidy() must not wait: clients do */
    return true;
}

/* Releases the slot before looking at the queue again: a session that has joined meanwhile either
 * finds the slot or is found in the queue. */
void pool_release(struct pool *p, struct server *srv, uint64_t now)
{
    if (queue_length(&p->queue) > 0 && !pool_waits_when_down(p) && !pool_is_paused(p) &&
        is_in_use(p, srv, now) && !server_is_over_limit(srv) && queue_grant(&p->queue, srv))
        return;
    server_release(srv);
    pool_offer_server(p, srv, now);
}

/* Joins the queue first, and then looks for a slot: one that comes free in between is granted
 * through the inbox. A pool that waits for servers serves its queue in order, also this session. */
int pool_enqueue(struct pool *p, struct waiter *w, uint64_t now, struct server **srv)
{
    const struct pick_request r = { .key = w->key, .now = now, .tried = w->tried };
    enum pool_refusal refusal = POOL_DOWN;
    if (!queue_enqueue(&p->queue, w, pool_conf(p)->max_queue))
        return -EAGAIN;
    if (pool_waits_when_down(p))
        pool_dispatch(p, now);
    else
        *srv = pool_pick(p, &r, &refusal);
    if (*srv == NULL && refusal != POOL_NO_SERVER) {
        pool_await_time(p, now);
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

/* ---- pause ---- */

bool pool_pause(struct pool *p, bool pause, uint64_t now)
{
    if (atomic_exchange(&p->paused, pause) == pause)
        return false;
    if (!pause) { /* servers that were tried before may be others now */
        queue_forget_tried(&p->queue, NULL);
        pool_serve_waiters(p, now);
    }
    return true;
}

/* A pause stays in force: no session of the pool starts any more, since the operator asked for
 * that. The waiting ones end or go to the fallback, as no command can resume the pool. */
void pool_drop(struct pool *p, uint64_t now)
{
    atomic_store(&p->dropped, true);
    pool_serve_waiters(p, now);
}
