/* Policy "least_conn": the server with the fewest sessions for its weight, exact over all workers.
 *
 * The policy compares active / (weight * share) by cross-multiplication, without rounding. A slot
 * is acquired only if the server has as many sessions as when it won: of two workers that pick at
 * the same moment one finds that the number has changed, and picks again.
 *
 * Ties, as among idle servers, are broken by turns: each server has a virtual clock, which a turn
 * advances by 1 / (weight * share), and the server whose next turn begins first is picked. The
 * clock of a server that was busy while others had turns is set to theirs, so that it does not get
 * all missed turns at once. This is start-time fair queueing: Goyal, Vin and Cheng (SIGCOMM 1996).
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "balance/policy.h"
#include "balance/tournament.h"

/* A standing: sessions, with weight * share - 1 in the low bits; or CLOSED: full or not usable. */
#define CLOSED      (UINT64_C(1) << 47)
#define ACTIVE_MAX  (CLOSED / POWER_RANGE - 1)
#define POWER_RANGE UINT64_C(65536) /* of weight * share */

#define TURN_OF_POWER_1 (UINT64_C(1) << 32) /* length of a turn at weight * share = 1 */
#define CHANGES_MAX     64                  /* lost races before a pick that need not be exact */

struct least_conn {
    struct tournament *tree;
    struct server *const *servers;
    size_t count;
    _Atomic uint64_t now;      /* virtual time when the latest turn began */
    _Atomic uint64_t latest[]; /* virtual time when the server's latest turn began */
};

static uint64_t power_of(uint64_t standing)
{
    return standing % POWER_RANGE + 1;
}

static uint64_t active_of(uint64_t standing)
{
    return standing / POWER_RANGE;
}

static uint64_t turn_length(uint64_t standing)
{
    return TURN_OF_POWER_1 / power_of(standing);
}

static uint64_t policy_least_conn_standing(const struct server *srv, uint64_t now)
{
    if (!server_is_usable(srv, now) || server_is_full(srv))
        return CLOSED;
    uint64_t active = server_active(srv);
    uint64_t power = (uint64_t)server_weight(srv) * server_share(srv, now);
    return (active < ACTIVE_MAX ? active : ACTIVE_MAX) * POWER_RANGE + power - 1;
}

/* Whether time a comes before b; it may wrap. */
static bool is_earlier(uint64_t a, uint64_t b)
{
    return (int64_t)(a - b) < 0;
}

static bool policy_least_conn_before(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj)
{
    const struct least_conn *lc = arg;
    if (((si | sj) & CLOSED) != 0)
        return si < sj || (si == sj && i < j);
    uint64_t load_i = active_of(si) * power_of(sj);
    uint64_t load_j = active_of(sj) * power_of(si);
    if (load_i != load_j)
        return load_i < load_j;
    uint64_t next_i = atomic_load(&lc->latest[i]) + turn_length(si);
    uint64_t next_j = atomic_load(&lc->latest[j]) + turn_length(sj);
    return next_i != next_j ? is_earlier(next_i, next_j) : i < j;
}

/* ---- turns ---- */

/* The index of the server in the previous state. The search begins at from, the expected index. */
static size_t policy_least_conn_find(const struct least_conn *previous, const struct server *srv,
                                     size_t from)
{
    for (size_t k = 0; k < previous->count; k++) {
        size_t at = (from + k) % previous->count;
        if (previous->servers[at] == srv)
            return at;
    }
    return previous->count;
}

/* A new server starts in the middle of a turn, so that weights 5, 1, 1 give aabacaa, not aaaaabc.
 */
static void init_turns(struct least_conn *lc, const struct least_conn *previous)
{
    uint64_t now =
        previous == NULL ? 0 : atomic_load_explicit(&previous->now, memory_order_relaxed);
    size_t next = 0;
    atomic_init(&lc->now, now);
    for (size_t i = 0; i < lc->count; i++) {
        uint64_t power = (uint64_t)server_weight(lc->servers[i]) * SERVER_FULL_SHARE;
        size_t at = previous == NULL ? 0 : policy_least_conn_find(previous, lc->servers[i], next);
        bool stays = previous != NULL && at < previous->count;
        atomic_init(&lc->latest[i],
                    stays ? atomic_load_explicit(&previous->latest[at], memory_order_relaxed)
                          : now - TURN_OF_POWER_1 / power / 2);
        next = stays ? at + 1 : next;
    }
}

/* Sequentially consistent, as all that the tournament compares must be (tournament.h). */
static void advance(_Atomic uint64_t *clock, uint64_t to)
{
    uint64_t at = atomic_load(clock);
    while (is_earlier(at, to) && !atomic_compare_exchange_weak(clock, &at, to))
        ;
}

static void take_turn(struct least_conn *lc, size_t i, uint64_t taken_at)
{
    uint64_t length = turn_length(taken_at);
    uint64_t began = atomic_fetch_add(&lc->latest[i], length) + length;
    advance(&lc->now, began);
    advance(&lc->latest[i], atomic_load(&lc->now));
}

/* ---- policy ---- */

static void policy_least_conn_destroy(void *state)
{
    struct least_conn *lc = state;
    tournament_free(lc->tree);
    free(lc);
}

static void *policy_least_conn_create(struct server *const *servers, size_t count,
                                      const void *previous)
{
    struct least_conn *lc = malloc(sizeof *lc + count * sizeof lc->latest[0]);
    if (lc == NULL)
        return NULL;
    lc->servers = servers;
    lc->count = count;
    init_turns(lc, previous);
    const struct tournament_rules rules = { .standing = policy_least_conn_standing,
                                            .before = policy_least_conn_before,
                                            .arg = lc };
    lc->tree = tournament_new(servers, count, &rules);
    if (lc->tree == NULL) {
        free(lc);
        return NULL;
    }
    return lc;
}

/* Used if the search has no room for another exclusion. */
static long policy_least_conn_pick_any(const struct least_conn *lc, const struct pick_request *r,
                                       policy_acquire_fn *acquire)
{
    for (size_t i = 0; i < lc->count; i++)
        if (acquire(r, lc->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    return -1;
}

/* Returns the acquired server or -1. *won_at: the standing that the server won with; CLOSED if it
 * was acquired without a match. */
static inline long policy_least_conn_search(const struct least_conn *lc,
                                            const struct pick_request *r,
                                            policy_acquire_fn *acquire, uint64_t *won_at)
{
    struct tournament_search search;
    unsigned changes = 0;
    long i = 0;
    tournament_search(&search, lc->tree, r->now);
    while ((i = tournament_best(&search, won_at)) >= 0 && *won_at != CLOSED) {
        uint64_t expected = changes < CHANGES_MAX ? active_of(*won_at) : SERVER_ANY_COUNT;
        switch (acquire(r, lc->servers[i], expected)) {
        case SERVER_ACQUIRED:
            return i;
        case SERVER_REFUSED:
            if (!tournament_exclude(&search, (size_t)i)) {
                *won_at = CLOSED;
                return policy_least_conn_pick_any(lc, r, acquire);
            }
            break;
        case SERVER_CHANGED:
            changes++;
            tournament_replay(lc->tree, (size_t)i, r->now);
            break;
        }
    }
    return -1;
}

static long policy_least_conn_pick(void *state, const struct pick_request *r,
                                   policy_acquire_fn *acquire)
{
    struct least_conn *lc = state;
    uint64_t won_at = CLOSED;
    long i = policy_least_conn_search(lc, r, acquire, &won_at);
    if (i >= 0 && won_at != CLOSED) {
        take_turn(lc, (size_t)i, won_at);
        tournament_replay(lc->tree, (size_t)i, r->now);
    }
    return i;
}

static long policy_least_conn_peek(const void *state, const struct pick_request *r,
                                   policy_acquire_fn *could_acquire)
{
    uint64_t won_at = CLOSED;
    return policy_least_conn_search(state, r, could_acquire, &won_at);
}

static void policy_least_conn_changed(void *state, size_t i, uint64_t now)
{
    struct least_conn *lc = state;
    tournament_changed(lc->tree, i, now);
}

const struct policy_ops policy_least_conn = {
    .not_picked = "more sessions for its weight, or not its turn",
    .create = policy_least_conn_create,
    .destroy = policy_least_conn_destroy,
    .pick = policy_least_conn_pick,
    .peek = policy_least_conn_peek,
    .changed = policy_least_conn_changed,
};
