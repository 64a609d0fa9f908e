#include "session/access.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A binary trie with paths compressed (Morrison, "PATRICIA", 1968), one for each family: a node
 * stands for a network, its children for networks within it.
 *
 * Rules are put in by their order, and one whose network lies within that of an earlier rule is
 * left out: it can never be the first. So on the way down from the root every verdict belongs to a
 * rule that comes before those above it, and the deepest one that has the client is the first of
 * the list. */

enum verdict {
    VERDICT_NONE,
    VERDICT_ALLOW,
    VERDICT_DENY,
};

/* An address, its first bit on top; IPv4 has the first 32. */
struct key {
    uint64_t high;
    uint64_t low;
};

struct node {
    struct key key; /* bits beyond the prefix are 0 */
    uint32_t child[2];
    uint8_t bits;    /* of the prefix */
    uint8_t verdict; /* NONE: stands where two paths part */
};

#define NO_NODE 0 /* node 0 is not used */

struct access {
    uint32_t root_in;
    uint32_t root_in6;
    enum verdict unix_clients;
    enum verdict others; /* of families that zproxy knows nothing of */
    uint32_t count;
    struct node node[];
};

static struct key key_of_in(struct in_addr ip)
{
    return (struct key){ (uint64_t)ntohl(ip.s_addr) << 32, 0 };
}

static struct key key_of_in6(const struct in6_addr *ip)
{
    struct key k;
    memcpy(&k, ip, sizeof k);
    return (struct key){ be64toh(k.high), be64toh(k.low) };
}

/* The bit of this number, 0 to 127. */
static unsigned bit_of(struct key k, unsigned number)
{
    return (number < 64 ? k.high : k.low) >> (63 - number % 64) & 1;
}

/* How many bits two keys have in common, from the first on. */
static unsigned common_bits(struct key a, struct key b)
{
    if (a.high != b.high)
        return (unsigned)__builtin_clzll(a.high ^ b.high);
    return a.low == b.low ? 128 : 64 + (unsigned)__builtin_clzll(a.low ^ b.low);
}

/* --- Building --- */

static struct key first_bits(struct key k, unsigned bits)
{
    k.high = bits == 0 ? 0 : bits >= 64 ? k.high : k.high & UINT64_MAX << (64 - bits);
    k.low = bits <= 64 ? 0 : bits == 128 ? k.low : k.low & UINT64_MAX << (128 - bits);
    return k;
}

static uint32_t add_node(struct access *a, struct key key, unsigned bits, enum verdict verdict)
{
    a->node[++a->count] = (struct node){
        .key = key,
        .bits = (uint8_t)bits,
        .verdict = (uint8_t)verdict,
    };
    return a->count;
}

/* Puts a node for the first bits of key, which end within those of *link, above that one. */
static struct node *split(struct access *a, uint32_t *link, struct key key, unsigned bits)
{
    const uint32_t below = *link;
    *link = add_node(a, first_bits(key, bits), bits, VERDICT_NONE);
    a->node[*link].child[bit_of(a->node[below].key, bits)] = below;
    return &a->node[*link];
}

/* Adds two nodes at most. */
static void insert(struct access *a, uint32_t *link, struct key key, unsigned bits,
                   enum verdict verdict)
{
    while (*link != NO_NODE) {
        struct node *n = &a->node[*link];
        unsigned common = common_bits(n->key, key);
        if (common > bits)
            common = bits;
        if (common < n->bits)
            n = split(a, link, key, common);
        if (n->verdict != VERDICT_NONE)
            return; /* within the network of an earlier rule */
        if (n->bits == bits) {
            n->verdict = (uint8_t)verdict;
            return;
        }
        link = &n->child[bit_of(key, n->bits)];
    }
    *link = add_node(a, key, bits, verdict);
}

static void decide(enum verdict *verdict, enum verdict by)
{
    if (*verdict == VERDICT_NONE)
        *verdict = by;
}

static void add_rule(struct access *a, const struct access_rule *r)
{
    static const struct key zero;
    const struct network *n = &r->network;
    enum verdict verdict = r->allow ? VERDICT_ALLOW : VERDICT_DENY;
    switch (n->family) {
    case AF_INET:
        insert(a, &a->root_in, key_of_in(n->in), n->prefix, verdict);
        break;
    case AF_INET6:
        insert(a, &a->root_in6, key_of_in6(&n->in6), n->prefix, verdict);
        break;
    case AF_UNIX:
        decide(&a->unix_clients, verdict);
        break;
    default:
        insert(a, &a->root_in, zero, 0, verdict);
        insert(a, &a->root_in6, zero, 0, verdict);
        decide(&a->unix_clients, verdict);
        decide(&a->others, verdict);
        break;
    }
}

struct access *access_new(const struct access_rule *rules, size_t count)
{
    struct access *a = calloc(1, sizeof *a + (2 * count + 1) * sizeof a->node[0]);
    if (a == NULL)
        return NULL;
    for (size_t i = 0; i < count; i++)
        add_rule(a, &rules[i]);
    return a;
}

void access_free(struct access *a)
{
    free(a);
}

/* --- Looking up --- */

static enum verdict look_up(const struct access *a, uint32_t at, struct key key, unsigned bits)
{
    enum verdict verdict = VERDICT_NONE;
    while (at != NO_NODE) {
        const struct node *n = &a->node[at];
        if (common_bits(n->key, key) < n->bits)
            break;
        if (n->verdict != VERDICT_NONE)
            verdict = n->verdict;
        if (n->bits == bits)
            break;
        at = n->child[bit_of(key, n->bits)];
    }
    return verdict;
}

bool access_allows(const struct access *a, const struct addr_peer *client)
{
    switch (client->sa.sa_family) {
    case AF_INET:
        return look_up(a, a->root_in, key_of_in(client->in.sin_addr), 32) != VERDICT_DENY;
    case AF_INET6:
        return look_up(a, a->root_in6, key_of_in6(&client->in6.sin6_addr), 128) != VERDICT_DENY;
    case AF_UNIX:
        return a->unix_clients != VERDICT_DENY;
    default:
        return a->others != VERDICT_DENY;
    }
}
