#include "balance/tournament.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>

#define STANDING_MASK ((UINT64_C(1) << TOURNAMENT_STANDING_BITS) - 1)

/* A complete binary tree in an array: node 1 is the root, 2k and 2k+1 are the children of node k,
 * and node count+i is the leaf of server i. */
struct tournament {
    struct tournament_rules rules;
    struct server *const *servers;
    size_t count;
    _Atomic uint64_t *leaves; /* stamp and standing */
    _Atomic uint32_t nodes[]; /* winner and its stamp; 1..count-1 are in use */
};

/* All accesses are sequentially consistent; tournament.h has the reason. */

/* ---- words ---- */

static uint64_t standing_of(uint64_t leaf)
{
    return leaf & STANDING_MASK;
}

static uint16_t stamp_of(uint64_t leaf)
{
    return (uint16_t)(leaf >> TOURNAMENT_STANDING_BITS);
}

static uint64_t leaf_word(uint16_t stamp, uint64_t standing)
{
    return (uint64_t)stamp << TOURNAMENT_STANDING_BITS | standing;
}

static uint32_t winner_word(size_t i, uint64_t leaf)
{
    return (uint32_t)i << 16 | stamp_of(leaf);
}

static size_t winner_of(uint32_t word)
{
    return word >> 16;
}

static bool is_outdated(uint32_t word, uint64_t leaf)
{
    return (uint16_t)word != stamp_of(leaf);
}

/* ---- matches ---- */

static uint32_t word_at(const struct tournament *t, size_t node)
{
    if (node < t->count)
        return atomic_load(&t->nodes[node]);
    size_t i = node - t->count;
    return winner_word(i, atomic_load(&t->leaves[i]));
}

/* Returns the word of the winner. */
static uint32_t tournament_match(const struct tournament *t, uint32_t a, uint32_t b)
{
    size_t i = winner_of(a);
    size_t j = winner_of(b);
    uint64_t leaf_i = atomic_load(&t->leaves[i]);
    uint64_t leaf_j = atomic_load(&t->leaves[j]);
    if (is_outdated(a, leaf_i))
        return a;
    if (is_outdated(b, leaf_j))
        return b;
    const struct tournament_rules *r = &t->rules;
    return r->before(r->arg, j, standing_of(leaf_j), i, standing_of(leaf_i)) ? b : a;
}

static void play(struct tournament *t, size_t node)
{
    uint32_t written = atomic_load(&t->nodes[node]);
    for (;;) {
        uint32_t right = tournament_match(t, word_at(t, 2 * node), word_at(t, 2 * node + 1));
        if (right == written)
            return;
        if (atomic_compare_exchange_strong(&t->nodes[node], &written, right))
            written = right; /* then play again: the children may have changed meanwhile */
    }
}

/* Returns whether the leaf had another standing. */
static bool update_leaf(struct tournament *t, size_t i, uint64_t now)
{
    bool changed = false;
    uint64_t written = atomic_load(&t->leaves[i]);
    for (;;) {
        uint64_t standing = t->rules.standing(t->servers[i], now);
        assert(standing <= STANDING_MASK);
        if (standing == standing_of(written))
            return changed;
        uint64_t right = leaf_word((uint16_t)(stamp_of(written) + 1), standing);
        if (atomic_compare_exchange_strong(&t->leaves[i], &written, right)) {
            written = right;
            changed = true;
        }
    }
}

static void play_up(struct tournament *t, size_t i)
{
    for (size_t node = (t->count + i) / 2; node > 0; node /= 2)
        play(t, node);
}

void tournament_changed(struct tournament *t, size_t i, uint64_t now)
{
    if (update_leaf(t, i, now))
        play_up(t, i);
}

void tournament_replay(struct tournament *t, size_t i, uint64_t now)
{
    update_leaf(t, i, now);
    play_up(t, i);
}

/* ---- the tree ---- */

struct tournament *tournament_new(struct server *const *servers, size_t count,
                                  const struct tournament_rules *rules)
{
    assert(count <= TOURNAMENT_SERVERS_MAX);
    struct tournament *t = calloc(1, sizeof *t + count * sizeof t->nodes[0]);
    if (t == NULL)
        return NULL;
    t->leaves = calloc(count + 1, sizeof t->leaves[0]);
    if (t->leaves == NULL) {
        free(t);
        return NULL;
    }
    t->rules = *rules;
    t->servers = servers;
    t->count = count;
    for (size_t i = 0; i < count; i++)
        update_leaf(t, i, 0);
    for (size_t node = count; node-- > 1;)
        play(t, node);
    return t;
}

void tournament_free(struct tournament *t)
{
    if (t == NULL)
        return;
    free(t->leaves);
    free(t);
}

/* ---- searches ---- */

void tournament_search(struct tournament_search *s, struct tournament *t, uint64_t now)
{
    s->tree = t;
    s->now = now;
    s->count = t->count > 0;
    s->subtree[0] = 1;
}

long tournament_best(struct tournament_search *s, uint64_t *standing)
{
    struct tournament *t = s->tree;
    for (;;) {
        if (s->count == 0)
            return -1;
        uint32_t best = word_at(t, s->subtree[0]);
        for (size_t k = 1; k < s->count; k++)
            best = tournament_match(t, best, word_at(t, s->subtree[k]));
        size_t i = winner_of(best);
        uint64_t leaf = atomic_load(&t->leaves[i]);
        *standing = standing_of(leaf);
        if (!is_outdated(best, leaf))
            return (long)i;
        play_up(t, i); /* another thread is about to; this one needs the result now */
    }
}

bool tournament_exclude(struct tournament_search *s, size_t i)
{
    size_t node = s->tree->count + i;
    size_t k = 0;
    uint32_t siblings[32];
    size_t found = 0;
    for (;;) { /* up to the root of the subtree that has i */
        for (k = 0; k < s->count && s->subtree[k] != node; k++)
            ;
        if (k < s->count)
            break;
        assert(node > 1);
        siblings[found++] = (uint32_t)(node ^ 1);
        node /= 2;
    }
    if (s->count - 1 + found > TOURNAMENT_SUBTREES_MAX)
        return false;
    s->subtree[k] = s->subtree[--s->count];
    while (found > 0)
        s->subtree[s->count++] = siblings[--found];
    return true;
}
