/* Policy "first": the first server with a free slot, in the order of the configuration. For pools
 * whose last servers should stay idle as long as possible.
 *
 * During slow start a server takes only its share of the turns and leaves the others to the servers
 * behind it.
 */
#include <stdlib.h>

#include "balance/policy.h"
#include "balance/tournament.h"

enum policy_first_standing {
    HAS_ROOM,
    CLOSED, /* full or not usable */
};

struct first {
    struct tournament *tree;
    struct server *const *servers;
    size_t count;
};

static uint64_t policy_first_standing(const struct server *srv, uint64_t now)
{
    return server_is_usable(srv, now) && !server_is_full(srv) ? HAS_ROOM : CLOSED;
}

static bool policy_first_before(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj)
{
    (void)arg;
    return si != sj ? si < sj : i < j;
}

static void policy_first_destroy(void *state)
{
    struct first *f = state;
    tournament_free(f->tree);
    free(f);
}

static void *policy_first_create(struct server *const *servers, size_t count, const void *previous)
{
    (void)previous;
    const struct tournament_rules rules = { .standing = policy_first_standing,
                                            .before = policy_first_before };
    struct first *f = malloc(sizeof *f);
    if (f == NULL)
        return NULL;
    f->servers = servers;
    f->count = count;
    f->tree = tournament_new(servers, count, &rules);
    if (f->tree == NULL) {
        free(f);
        return NULL;
    }
    return f;
}

/* Used if servers with room have forgone their turns, or the search has no room for another
 * exclusion. */
static long policy_first_pick_any(const struct first *f, const struct pick_request *r,
                                  policy_acquire_fn *acquire)
{
    for (size_t i = 0; i < f->count; i++)
        if (acquire(r, f->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    return -1;
}

static long policy_first_pick(void *state, const struct pick_request *r, policy_acquire_fn *acquire)
{
    const struct first *f = state;
    struct tournament_search search;
    uint64_t won_at = 0;
    bool forgone = false;
    long i = 0;
    tournament_search(&search, f->tree, r->now);
    while ((i = tournament_best(&search, &won_at)) >= 0 && won_at == HAS_ROOM) {
        bool turn = server_takes_turn(f->servers[i], r->now);
        forgone |= !turn;
        if (turn && acquire(r, f->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED) {
            tournament_changed(f->tree, (size_t)i, r->now);
            return i;
        }
        if (!tournament_exclude(&search, (size_t)i))
            return policy_first_pick_any(f, r, acquire);
    }
    return forgone ? policy_first_pick_any(f, r, acquire) : -1;
}

static long policy_first_peek(const void *state, const struct pick_request *r,
                              policy_acquire_fn *could_acquire)
{
    const struct first *f = state;
    struct tournament_search search;
    uint64_t won_at = 0;
    long i = 0;
    tournament_search(&search, f->tree, r->now);
    while ((i = tournament_best(&search, &won_at)) >= 0 && won_at == HAS_ROOM) {
        if (server_would_take_turn(f->servers[i], r->now) &&
            could_acquire(r, f->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return i;
        if (!tournament_exclude(&search, (size_t)i))
            break;
    }
    return policy_first_pick_any(f, r, could_acquire);
}

static void policy_first_changed(void *state, size_t i, uint64_t now)
{
    struct first *f = state;
    tournament_changed(f->tree, i, now);
}

const struct policy_ops policy_first = {
    .not_picked = "comes later in the file",
    .create = policy_first_create,
    .destroy = policy_first_destroy,
    .pick = policy_first_pick,
    .peek = policy_first_peek,
    .changed = policy_first_changed,
};
