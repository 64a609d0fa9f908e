/* Shared by the two files of a pool, and included by them only: pool.c has what the control thread
 * calls, pool_session.c what sessions call on any thread. */
#ifndef ZPROXY_BALANCE_POOL_INTERNAL_H
#define ZPROXY_BALANCE_POOL_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    _Atomic bool awaits_probes; /* sessions wait for a server to probe: pool_tidy() goes on */
    pthread_mutex_t lock;       /* held while a server is taken out */

    /* control thread only */
    struct server_list server_list;
    struct removed_servers removed_servers; /* not in the set; sessions may be on them */
    size_t retiring;                        /* sets that workers may still see */
    bool stale;                             /* the set does not match the states of the servers */
};

/* seq_cst: a worker changes a server and then loads the set, the control thread publishes a set and
 * then looks at its servers; one of them sees what the other stored. */
static inline struct server_set *pool_set(const struct pool *p)
{
    return atomic_load(&p->set);
}

/* The next pick brings the order up to date with the time. release: the thread that does the
 * review sees what the caller changed. */
static inline void pool_schedule_review(struct pool *p)
{
    atomic_store_explicit(&p->review_at, 0, memory_order_release);
}

/* Serves the waiting sessions after a change of the servers: grants free slots, and ends the wait
 * of sessions that have no eligible server left. */
void pool_serve_waiters(struct pool *p, uint64_t now);

/* Lets waiting sessions probe servers that were taken out. Returns true if sessions wait while a
 * server is out. */
bool pool_offer_probes(struct pool *p, uint64_t now);

#endif
