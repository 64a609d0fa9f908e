/* Policy "random": the better of two servers drawn at random.
 *
 * Two different servers are drawn, with chances in proportion to weight * share, and the one with
 * fewer sessions for its weight is tried first. The load is nearly as even as with least_conn
 * (Mitzenmacher, "The power of two choices in randomized load balancing", 2001), and several
 * proxies without knowledge of each other do not all choose the same server.
 *
 * The chances are in a Fenwick tree ("A new data structure for cumulative frequency tables", 1994):
 * a change and a draw are O(log n). Additions commute, so threads need no order among them. The
 * random numbers are hashes of a counter, so a pick costs one atomic addition for all its numbers.
 */
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "balance/policy.h"
#include "base/hash.h"

#define FURTHER_DRAWS 6 /* if neither of the first two can be acquired */
#define PICK_NUMBERS  (2 + FURTHER_DRAWS)

struct lottery {
    struct server *const *servers;
    size_t count;
    size_t top; /* the greatest power of 2 up to count */
    uint64_t seed;
    _Atomic uint64_t next_number; /* each pick reserves PICK_NUMBERS */
    _Atomic uint64_t total;       /* sum of all chances */
    _Atomic uint64_t *chances;    /* weight * share of each server; 0: not usable */
    _Atomic uint64_t sums[];      /* sums[k], k >= 1: of the chances k - (k & -k) .. k - 1 */
};

/* ---- chances ---- */

static uint64_t chance_of(const struct server *srv, uint64_t now)
{
    return server_is_usable(srv, now) ? (uint64_t)server_weight(srv) * server_share(srv, now) : 0;
}

static void policy_random_add(struct lottery *l, size_t i, uint64_t more)
{
    for (size_t k = i + 1; k <= l->count; k += k & (~k + 1))
        atomic_fetch_add_explicit(&l->sums[k], more, memory_order_relaxed);
    /* seq_cst: a thread that adds the first chance then looks at the queue, and a session that
     * found none has joined the queue before */
    atomic_fetch_add(&l->total, more);
}

/* Looks at the server again after it has written, so that the last thread to write leaves the right
 * value. seq_cst: one thread changes the server and then loads the chance, another stores the
 * chance and then loads the server; one of them sees what the other stored. */
static void policy_random_changed(void *state, size_t i, uint64_t now)
{
    struct lottery *l = state;
    uint64_t written = atomic_load(&l->chances[i]);
    for (;;) {
        uint64_t chance = chance_of(l->servers[i], now);
        if (chance == written)
            return;
        written = atomic_exchange(&l->chances[i], chance);
        policy_random_add(l, i, chance - written); /* modulo 2^64 */
        written = chance;
    }
}

/* The sum of the chances before server i. */
static uint64_t sum_before(const struct lottery *l, size_t i)
{
    uint64_t sum = 0;
    for (size_t k = i; k > 0; k -= k & (~k + 1))
        sum += atomic_load_explicit(&l->sums[k], memory_order_relaxed);
    return sum;
}

/* The server whose chances include the point. May be a neighbour while chances change. */
static size_t server_at(const struct lottery *l, uint64_t point)
{
    size_t i = 0;
    for (size_t step = l->top; step > 0; step /= 2) {
        if (i + step > l->count)
            continue;
        uint64_t sum = atomic_load_explicit(&l->sums[i + step], memory_order_relaxed);
        if (sum <= point) {
            point -= sum;
            i += step;
        }
    }
    return i < l->count ? i : l->count - 1;
}

/* ---- draws ---- */

/* The n-th random number. */
static uint64_t policy_random_number(const struct lottery *l, uint64_t n)
{
    return hash_splitmix64(l->seed, n);
}

/* total > 0 */
static size_t policy_random_draw(const struct lottery *l, uint64_t total, uint64_t n)
{
    return server_at(l, policy_random_number(l, n) % total);
}

/* A server other than the first: draws a point outside the first one's chances. */
static size_t draw_other(const struct lottery *l, uint64_t total, size_t first, uint64_t n)
{
    uint64_t gap = atomic_load_explicit(&l->chances[first], memory_order_relaxed);
    if (gap >= total)
        return (first + 1) % l->count; /* none of the others is usable */
    uint64_t point = policy_random_number(l, n) % (total - gap);
    return server_at(l, point < sum_before(l, first) ? point : point + gap);
}

/* Whether srv has fewer sessions for its weight and share than a. */
static bool is_lighter(const struct server *srv, const struct server *a, uint64_t now)
{
    uint64_t power_a = (uint64_t)server_weight(a) * server_share(a, now);
    uint64_t power_b = (uint64_t)server_weight(srv) * server_share(srv, now);
    return server_active(srv) * power_a < server_active(a) * power_b;
}

/* ---- policy ---- */

static void policy_random_destroy(void *state)
{
    struct lottery *l = state;
    free(l->chances);
    free(l);
}

/* From getrandom(2), or from the clock while the kernel's generator is not ready. */
static uint64_t make_seed(void)
{
    uint64_t seed = 0;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) != sizeof seed) {
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        seed = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    }
    return seed;
}

static void *policy_random_create(struct server *const *servers, size_t count, const void *previous)
{
    const struct lottery *before = previous;
    struct lottery *l = calloc(1, sizeof *l + (count + 1) * sizeof l->sums[0]);
    if (l == NULL)
        return NULL;
    l->chances = calloc(count + 1, sizeof l->chances[0]);
    if (l->chances == NULL) {
        free(l);
        return NULL;
    }
    l->servers = servers;
    l->count = count;
    for (l->top = 1; l->top <= count / 2;)
        l->top *= 2;
    l->seed = before == NULL
                  ? make_seed()
                  : hash_splitmix64(before->seed, atomic_load_explicit(&before->next_number,
                                                                       memory_order_relaxed));
    for (size_t i = 0; i < count; i++)
        policy_random_changed(l, i, 0);
    return l;
}

static bool policy_random_try(const struct lottery *l, const struct pick_request *r,
                              policy_acquire_fn *acquire, size_t i)
{
    return acquire(r, l->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED;
}

static long policy_random_pick_any(const struct lottery *l, const struct pick_request *r,
                                   policy_acquire_fn *acquire, size_t from)
{
    for (size_t k = 0; k < l->count; k++) {
        size_t i = (from + k) % l->count;
        if (policy_random_try(l, r, acquire, i))
            return (long)i;
    }
    return -1;
}

/* n: the first of PICK_NUMBERS random numbers. */
static long policy_random_pick_by(const struct lottery *l, const struct pick_request *r,
                                  policy_acquire_fn *acquire, uint64_t n)
{
    uint64_t total = atomic_load(&l->total); /* seq_cst: see policy_random_add() */
    if (l->count == 0 || total == 0)
        return -1;
    size_t i = policy_random_draw(l, total, n++);
    size_t other = l->count > 1 ? draw_other(l, total, i, n++) : i;
    if (is_lighter(l->servers[other], l->servers[i], r->now)) {
        size_t lighter = other;
        other = i;
        i = lighter;
    }
    if (policy_random_try(l, r, acquire, i))
        return (long)i;
    if (other != i && policy_random_try(l, r, acquire, other))
        return (long)other;
    for (int k = 0; k < FURTHER_DRAWS && l->count > 2; k++) {
        i = policy_random_draw(l, total, n++);
        if (policy_random_try(l, r, acquire, i))
            return (long)i;
    }
    return policy_random_pick_any(l, r, acquire, i);
}

static long policy_random_pick(void *state, const struct pick_request *r,
                               policy_acquire_fn *acquire)
{
    struct lottery *l = state;
    uint64_t n = atomic_fetch_add_explicit(&l->next_number, PICK_NUMBERS, memory_order_relaxed);
    return policy_random_pick_by(l, r, acquire, n);
}

/* Draws with random numbers of its own: the result is one of the possible picks. */
static long policy_random_peek(const void *state, const struct pick_request *r,
                               policy_acquire_fn *could_acquire)
{
    return policy_random_pick_by(state, r, could_acquire, make_seed());
}

const struct policy_ops policy_random = {
    .not_picked = "not drawn this time",
    .create = policy_random_create,
    .destroy = policy_random_destroy,
    .pick = policy_random_pick,
    .peek = policy_random_peek,
    .changed = policy_random_changed,
};
