/* Policy "hash": the same server for the same key, by consistent hashing with Maglev's table.
 *
 * Eisenbud et al., "Maglev: a fast and reliable software network load balancer" (NSDI 2016): each
 * server has a permutation of the table's slots, which its identity determines. The servers take
 * turns; in its turn a server claims the first free slot of its permutation. A key belongs to the
 * server of its slot. The interval between a server's turns depends only on its own weight.
 *
 * The identity of a server is a hash (base/hash.h) of its name and of its address as text, so the
 * table is the same on every machine with the same servers, in any order.
 *
 * The table has all servers, also those that are down, and is computed again only when servers or
 * weights change. If the server of a key cannot be acquired, the key goes through further slots, in
 * a random sequence that the key determines, and then through all servers in an order that it
 * determines. So a server that goes down moves only its own keys, and gets them back when it
 * returns. During slow start a server has a part of its keys as large as its share; a key that it
 * got stays with it.
 *
 * Keys that move, in percent of all keys; in brackets the minimum (200,000 keys, equal weights):
 *                              10 servers     100 servers    1,000 servers
 *   one added                  9.38 (9.09)    1.61 (0.99)    0.63 (0.10)
 *   one removed                10.3 (10.0)    1.56 (1.00)    0.62 (0.10)
 *   weight 100 becomes 101     0.14 (0.09)    0.11 (0.01)    0.02 (0.00)
 * A change of the number of servers that changes the table's size moves nearly all keys.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "balance/policy.h"
#include "base/hash.h"

#define SMALL_TABLE  65537u  /* slots, a prime: 128 KiB */
#define LARGE_TABLE  262147u /* a prime: 512 KiB */
#define SLOTS_WANTED 100u    /* for each server, so that one slot is 1 % of its keys */
#define PROBES       64u     /* slots tried for a key, before all servers in turn */

#define FREE UINT16_MAX

#define TURN_OF_WEIGHT_1 (UINT64_C(1) << 32) /* interval of turns at weight 1 */

struct maglev {
    struct server *const *servers;
    size_t count;
    uint32_t size;       /* of the table */
    uint32_t modulus;    /* a prime, at least count */
    uint64_t *identity;  /* of each server */
    uint16_t *canonical; /* the servers in an order that is the same on every machine */
    uint16_t table[];
};

/* ---- the table ---- */

/* A server while the table is filled. */
struct claimant {
    uint64_t identity;
    uint64_t turn_at; /* the next turn, in virtual time */
    uint64_t turn_length;
    uint32_t slot; /* the next one of its permutation */
    uint32_t skip;
    uint16_t server;
};

static void claimant_init(struct claimant *c, const struct maglev *m, uint16_t server)
{
    c->server = server;
    c->identity = m->identity[server];
    c->turn_length = TURN_OF_WEIGHT_1 / server_weight(m->servers[server]);
    c->turn_at = c->turn_length;
    c->slot = (uint32_t)(hash_splitmix64(c->identity, 0) % m->size);
    c->skip = (uint32_t)(hash_splitmix64(c->identity, 1) % (m->size - 1)) + 1;
}

static int compare_identities(const void *left, const void *right)
{
    const struct claimant *a = left;
    const struct claimant *b = right;
    return a->identity < b->identity ? -1 : a->identity > b->identity;
}

static bool comes_before(const struct claimant *a, const struct claimant *b)
{
    return a->turn_at != b->turn_at ? a->turn_at < b->turn_at : a->identity < b->identity;
}

/* Restores the heap below `at`. */
static void sink(struct claimant *heap, size_t count, size_t at)
{
    struct claimant c = heap[at];
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < count && comes_before(&heap[child + 1], &heap[child]))
            child++;
        if (child >= count || !comes_before(&heap[child], &c))
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = c;
}

static void claim(struct maglev *m, struct claimant *c)
{
    while (m->table[c->slot] != FREE) {
        c->slot += c->skip;
        if (c->slot >= m->size)
            c->slot -= m->size;
    }
    m->table[c->slot] = c->server;
    c->turn_at += c->turn_length;
}

/* The interval of a server's turns depends only on its own weight, so the other servers claim in
 * the same order with it and without it. */
static void fill_table(struct maglev *m, struct claimant *heap)
{
    for (size_t i = 0; i < m->count; i++)
        claimant_init(&heap[i], m, (uint16_t)i);
    qsort(heap, m->count, sizeof *heap, compare_identities);
    for (size_t i = 0; i < m->count; i++)
        m->canonical[i] = heap[i].server;
    for (size_t at = m->count; at-- > 0;)
        sink(heap, m->count, at);
    memset(m->table, 0xff, m->size * sizeof m->table[0]); /* FREE */
    for (uint32_t claimed = 0; claimed < m->size; claimed++) {
        claim(m, &heap[0]);
        sink(heap, m->count, 0);
    }
}

/* ---- policy ---- */

static uint32_t prime_from(uint32_t n)
{
    for (n = n < 2 ? 2 : n;; n++) {
        uint32_t divisor = 2;
        while (divisor * divisor <= n && n % divisor != 0)
            divisor++;
        if (divisor * divisor > n)
            return n;
    }
}

static void policy_hash_destroy(void *state)
{
    struct maglev *m = state;
    free(m->identity);
    free(m->canonical);
    free(m);
}

static void *policy_hash_create(struct server *const *servers, size_t count, const void *previous)
{
    (void)previous;
    assert(count < FREE);
    uint32_t size = count * SLOTS_WANTED <= SMALL_TABLE ? SMALL_TABLE : LARGE_TABLE;
    struct maglev *m = malloc(sizeof *m + (count > 0 ? size : 0) * sizeof m->table[0]);
    struct claimant *claimants = calloc(count + 1, sizeof *claimants);
    uint64_t *identity = calloc(count + 1, sizeof *identity);
    uint16_t *canonical = calloc(count + 1, sizeof *canonical);
    if (m == NULL || claimants == NULL || identity == NULL || canonical == NULL) {
        free(m);
        free(identity);
        free(canonical);
        free(claimants);
        return NULL;
    }
    m->servers = servers;
    m->count = count;
    m->size = size;
    m->modulus = prime_from((uint32_t)count);
    m->identity = identity;
    m->canonical = canonical;
    for (size_t i = 0; i < count; i++)
        identity[i] = servers[i]->identity;
    if (count > 0)
        fill_table(m, claimants);
    free(claimants);
    return m;
}

/* Whether the key is in the server's share. */
static bool is_admitted(const struct maglev *m, const struct pick_request *r, size_t i)
{
    unsigned share = server_share(m->servers[i], r->now);
    return share == SERVER_FULL_SHARE ||
           hash_splitmix64(r->key, m->identity[i]) % SERVER_FULL_SHARE < share;
}

/* Tries all servers, with a start and a stride that the key determines. */
static long policy_hash_pick_any(const struct maglev *m, const struct pick_request *r,
                                 policy_acquire_fn *acquire)
{
    uint32_t at = (uint32_t)(hash_splitmix64(r->key, PROBES) % m->modulus);
    uint32_t stride = (uint32_t)(hash_splitmix64(r->key, PROBES + 1) % (m->modulus - 1)) + 1;
    for (uint32_t k = 0; k < m->modulus; k++) {
        if (at < m->count &&
            acquire(r, m->servers[m->canonical[at]], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return m->canonical[at];
        at = (at + stride) % m->modulus;
    }
    return -1;
}

/* There is no rotation: peek() is a pick that acquires nothing. */
static long policy_hash_peek(const void *state, const struct pick_request *r,
                             policy_acquire_fn *acquire)
{
    const struct maglev *m = state;
    if (m->count == 0)
        return -1;
    for (uint64_t probe = 0; probe < PROBES; probe++) {
        size_t i = m->table[hash_splitmix64(r->key, probe) % m->size];
        if (is_admitted(m, r, i) && acquire(r, m->servers[i], SERVER_ANY_COUNT) == SERVER_ACQUIRED)
            return (long)i;
    }
    return policy_hash_pick_any(m, r, acquire);
}

static long policy_hash_pick(void *state, const struct pick_request *r, policy_acquire_fn *acquire)
{
    return policy_hash_peek(state, r, acquire);
}

/* The slots say which server a key belongs to, the canonical order where it goes at last. */
static uint64_t policy_hash_digest(const void *state)
{
    const struct maglev *m = state;
    uint64_t digest = m->count;
    for (uint32_t slot = 0; slot < m->size && m->count > 0; slot++)
        digest = hash_splitmix64(digest, m->identity[m->table[slot]]);
    for (size_t i = 0; i < m->count; i++)
        digest = hash_splitmix64(digest, m->identity[m->canonical[i]]);
    return digest;
}

const struct policy_ops policy_hash = {
    .not_picked = "comes later in the order of this client",
    .holds_ineligible = true, /* each server has its keys whether it is up or down */
    .create = policy_hash_create,
    .destroy = policy_hash_destroy,
    .pick = policy_hash_pick,
    .peek = policy_hash_peek,
    .digest = policy_hash_digest,
};
