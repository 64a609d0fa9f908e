/* Policy "least_time": the server with the least (time to connect) x (sessions + 1) / weight, where
 * the time is a decaying average (connect_time.h).
 *
 * The standing of a server is the logarithm of this, so that the factors are added, and the ageing
 * of the averages, the same for all, leaves the order as it is. Of two workers that pick at the
 * same moment both may get the same server; the next pick sees both sessions.
 *
 * A server without a sample, as a new one or one that has come up, counts as fast as the fastest of
 * the others until its first connect. Its sessions, which include those that connect, keep it from
 * getting all sessions meanwhile.
 */
#include <stdlib.h>

#include "balance/connect_time.h"
#include "balance/passive_check.h"
#include "balance/policy.h"
#include "balance/tournament.h"

#define CLOSED  (UINT64_C(1) << 47)                /* a standing: full or not usable */
#define LOWEST  (UINT64_C(16) * CONNECT_TIME_UNIT) /* logarithm of the greatest weight * share */
#define ASSUMED 1000                               /* µs, while no server has a sample */

struct least_time {
    struct tournament *tree;
    struct server *const *servers;
    size_t count;
    _Atomic uint64_t fastest; /* µs, the least average so far; relaxed */
};

static uint64_t policy_least_time_standing(const struct server *srv, uint64_t now)
{
    if (!server_is_usable(srv, now) || server_is_full(srv))
        return CLOSED;
    if (passive_check_is_out(srv)) /* fail_timeout is over: the next session probes it */
        return 0;
    uint64_t power = (uint64_t)server_weight(srv) * server_share(srv, now);
    return LOWEST + connect_time_rank(&srv->connect_time) +
           connect_time_log2(server_active(srv) + 1) - connect_time_log2(power);
}

static bool policy_least_time_before(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj)
{
    (void)arg;
    return si != sj ? si < sj : i < j;
}

static void policy_least_time_destroy(void *state)
{
    struct least_time *lt = state;
    tournament_free(lt->tree);
    free(lt);
}

static uint64_t find_fastest(struct server *const *servers, size_t count)
{
    uint64_t fastest = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t us = connect_time_average(&servers[i]->connect_time);
        if (us != 0 && us < fastest)
            fastest = us;
    }
    return fastest == UINT64_MAX ? ASSUMED : fastest;
}

static void *policy_least_time_create(struct server *const *servers, size_t count,
                                      const void *previous)
{
    (void)previous;
    const struct tournament_rules rules = { .standing = policy_least_time_standing,
                                            .before = policy_least_time_before };
    struct least_time *lt = malloc(sizeof *lt);
    if (lt == NULL)
        return NULL;
    lt->servers = servers;
    lt->count = count;
    atomic_init(&lt->fastest, find_fastest(servers, count));
    lt->tree = tournament_new(servers, count, &rules);
    if (lt->tree == NULL) {
        free(lt);
        return NULL;
    }
    return lt;
}

/* Used if the search has no room for another exclusion. */
static long policy_least_time_pick_any(const struct least_time *lt, const struct pick_request *r,
                                       policy_acquire_fn *acquire)
{
    for (size_t i = 0; i < lt->count; i++)
        if (acquire(r, lt->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    return -1;
}

static long policy_least_time_search(const struct least_time *lt, const struct pick_request *r,
                                     policy_acquire_fn *acquire)
{
    struct tournament_search search;
    uint64_t won_at = 0;
    long i = 0;
    tournament_search(&search, lt->tree, r->now);
    while ((i = tournament_best(&search, &won_at)) >= 0 && won_at != CLOSED) {
        if (acquire(r, lt->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return i;
        if (!tournament_exclude(&search, (size_t)i))
            return policy_least_time_pick_any(lt, r, acquire);
    }
    return -1;
}

static long policy_least_time_pick(void *state, const struct pick_request *r,
                                   policy_acquire_fn *acquire)
{
    const struct least_time *lt = state;
    long i = policy_least_time_search(lt, r, acquire);
    if (i >= 0)
        tournament_changed(lt->tree, (size_t)i, r->now);
    return i;
}

static long policy_least_time_peek(const void *state, const struct pick_request *r,
                                   policy_acquire_fn *could_acquire)
{
    return policy_least_time_search(state, r, could_acquire);
}

/* A server is faster than those before: the servers without a sample count as fast from now on. */
static void assume_all(struct least_time *lt, uint64_t us, uint64_t now)
{
    for (size_t i = 0; i < lt->count; i++)
        if (connect_time_assume(&lt->servers[i]->connect_time, us, now))
            tournament_changed(lt->tree, i, now);
}

/* Ignores averages that are less than an eighth below the fastest one: so assume_all(), which
 * visits every server, runs some hundred times at most in the life of a set. */
static void note_fastest(struct least_time *lt, size_t i, uint64_t now)
{
    uint64_t us = connect_time_average(&lt->servers[i]->connect_time);
    uint64_t fastest = atomic_load_explicit(&lt->fastest, memory_order_relaxed);
    if (us != 0 && us < fastest - fastest / 8 &&
        atomic_compare_exchange_strong_explicit(&lt->fastest, &fastest, us, memory_order_relaxed,
                                                memory_order_relaxed))
        assume_all(lt, us, now);
}

/* Called for each server of a new set, too. */
static void policy_least_time_changed(void *state, size_t i, uint64_t now)
{
    struct least_time *lt = state;
    if (atomic_load(&lt->servers[i]->connect_time) == 0)
        connect_time_assume(&lt->servers[i]->connect_time,
                            atomic_load_explicit(&lt->fastest, memory_order_relaxed), now);
    note_fastest(lt, i, now);
    tournament_changed(lt->tree, i, now);
}

const struct policy_ops policy_least_time = {
    .not_picked = "a greater time to connect for its sessions and weight",
    .create = policy_least_time_create,
    .destroy = policy_least_time_destroy,
    .pick = policy_least_time_pick,
    .peek = policy_least_time_peek,
    .changed = policy_least_time_changed,
};
