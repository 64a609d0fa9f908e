/* Shared by the files of a pool, and included by them only: pool.c has what the control thread
 * calls; pool_session.c and pool_queue.c have what sessions call on any thread. */
#ifndef ZPROXY_BALANCE_POOL_INTERNAL_H
#define ZPROXY_BALANCE_POOL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/connect_time.h"
#include "balance/pool.h"
#include "balance/server_set.h"

struct pool {
    struct grace *grace;
    struct pool_events events;
    char *name;
    _Atomic(struct server_set *) set;
    _Atomic(struct pool *) fallback;
    _Atomic uint64_t sessions;
    struct counter failures;
    _Atomic uint64_t review_at; /* ms, when time changes a server next */
    struct queue queue;
    _Atomic bool awaits_time; /* pool_await_time() has requested pool_tidy(); seq_cst, see there */
    /* seq_cst: control stores these and then looks at the queue; a session joins the queue and then
     * looks at these. So one of them sees the other. */
    _Atomic bool paused;  /* by zproxyctl: new sessions wait */
    _Atomic bool dropped; /* no configuration has the pool any more: its servers stay as they are */
    pthread_mutex_t lock; /* held while a server is taken out */
    _Atomic bool prefers_below; /* pool_prefer_below_share() */

    /* control thread only */
    struct server_list server_list;
    struct removed_servers removed_servers; /* not in the set; sessions may be on them */
    size_t retiring;                        /* sets that workers may still see */
    uint64_t last_usable;                   /* pool_last_usable() */
    bool stale;                             /* the set does not match the states of the servers */
};

/* seq_cst: a worker changes a server and then loads the set, the control thread publishes a set and
 * then looks at its servers; one of them sees what the other stored. */
static inline struct server_set *pool_set(const struct pool *p)
{
    return atomic_load(&p->set);
}

/* As pool_prefer_below_share() has set it. */
static inline bool pool_prefers_below(const struct pool *p)
{
    return atomic_load_explicit(&p->prefers_below, memory_order_relaxed);
}

/* The next pick brings the order up to date with the time. release: the thread that does the
 * review sees what the caller changed. */
static inline void pool_schedule_review(struct pool *p)
{
    atomic_store_explicit(&p->review_at, 0, memory_order_release);
}

/* Begins a server's slow start, and forgets how long connects took before. */
static inline void pool_comes_up(struct server *srv, uint64_t now, const struct config_pool *conf)
{
    server_start_slow_start(srv, now, conf->slow_start);
    connect_time_forget(&srv->connect_time);
}

/* Serves the waiting sessions after a change of the servers: grants free slots, and ends the wait
 * of sessions that have no eligible server left. */
void pool_serve_waiters(struct pool *p, uint64_t now);

/* Gives free slots to waiting sessions, after one came free on srv. */
void pool_offer_server(struct pool *p, struct server *srv, uint64_t now);

/* Called by pool_tidy(): lets waiting sessions probe servers that were taken out, and start on
 * servers whose slow start has gone on. Returns true if it must be called again. */
bool pool_offer_in_time(struct pool *p, uint64_t now);
/* Requests a call of pool_tidy() by the control thread, if time alone may bring a slot to waiting
 * sessions. */
void pool_await_time(struct pool *p, uint64_t now);

/* Why a session that has tried these servers gets no slot now. */
enum pool_refusal pool_refusal(const struct pool *p, const struct pool_tried *tried, uint64_t now);

/* Brings the policy's order up to date with the time, if review_at is over. */
void pool_review(struct pool *p, struct server_set *set, uint64_t now);

/* When to probe the last server of a pool whose sessions wait, at most until then. ms */
uint64_t pool_probe_at(uint64_t now, uint64_t until);

#endif
