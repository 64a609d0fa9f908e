#include "balance/pool.h"

#include <errno.h>
#include <stdlib.h>

#include "balance/passive.h"
#include "balance/pool_inside.h"
#include "base/log.h"

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
    struct server_set *set = pool_set(p);
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
    struct server_set *set = pool_set(p);
    return server_set_has(set, b) && backend_is_usable(b, now) && !passive_is_out(b);
}

/* Hands a free place on b to who has waited longest, if pool_pick() would: as its trial where it
 * was taken out, and as the last resort where nobody else is usable. */
static bool hand_out(struct pool *p, struct backend *b, uint64_t now)
{
    struct server_set *set = pool_set(p);
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
    server_set_changed(pool_set(p), b, now);
    while (hand_out(p, b, now))
        server_set_changed(pool_set(p), b, now);
}

static void offer_all(struct pool *p, uint64_t now)
{
    struct server_set *set = pool_set(p);
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

void pool_attend(struct pool *p, uint64_t now)
{
    const struct server_set *set = pool_set(p);
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
    const struct server_set *set = pool_set(p);
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
bool pool_offer_trials(struct pool *p, uint64_t now)
{
    atomic_store(&p->ticking, false);
    bool awaited = are_trials_awaited(p);
    if (!awaited)
        return false;
    atomic_store(&p->ticking, true);
    offer_all(p, now);
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
    struct server_set *set = pool_set(p);
    atomic_fetch_add_explicit(&b->connections, 1, memory_order_relaxed);
    if (!passive_is_out(b))
        return;
    if (!passive_trial_passed(b, now)) {
        if (server_set_is_usable(set, now))
            return;
        passive_forgive(b); /* taken out, it is the only one that works */
    }
    backend_ramp(b, now, set->conf->slow_start);
    pool_look_again(p);
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
    struct server_set *set = pool_set(p);
    const struct config_pool *c = set->conf;
    uint64_t until = now + c->fail_timeout;
    atomic_fetch_add_explicit(&b->failures, 1, memory_order_relaxed);
    if (passive_is_out(b)) {
        passive_trial_failed(b, now, until);
    } else if (passive_count(b, now, c->max_fails, c->fail_timeout) && take_out(p, set, b, until)) {
        say_passive(p, b, LOG_LEVEL_WARNING, "server_out");
        pool_attend(p, now);
        await_trials(p);
    }
    pool_look_again(p);
    server_set_changed(set, b, now);
}

void pool_connect_refused(struct pool *p, struct backend *b, uint64_t client, uint64_t now)
{
    if (passive_refuses_all(b, client, now, pool_conf(p)->fail_timeout))
        pool_connect_failed(p, b, now);
    else
        pool_connect_left(p, b, now);
}

void pool_connect_left(struct pool *p, struct backend *b, uint64_t now)
{
    if (!passive_is_out(b))
        return;
    passive_trial_left(b);
    pool_look_again(p);
    server_set_changed(pool_set(p), b, now);
}
