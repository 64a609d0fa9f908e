#include "session/access.h"

#include <arpa/inet.h>
#include <endian.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A binary trie with paths compressed (Morrison, "PATRICIA", 1968), one for each family: a node
 * stands for a network, its children for networks within it.
 *
 * Rules are inserted in their order. A rule whose network lies within that of an earlier rule is
 * left out, since it can never be the first match. So the rule of a node comes earlier in the list
 * than the rules of the nodes above it, and the deepest node that contains the client has the first
 * match of the list. */

enum action {
    ACTION_NONE,
    ACTION_ALLOW,
    ACTION_DENY,
};

/* An address; its first bit is the highest. An IPv4 address is the first 32 bits. */
struct key {
    uint64_t high;
    uint64_t low;
};

struct node {
    struct key key; /* bits beyond the prefix are 0 */
    uint32_t child[2];
    uint8_t bits;   /* of the prefix */
    uint8_t action; /* NONE: the node only joins two paths */
};

#define NO_NODE 0 /* node 0 is not used */

struct access {
    uint32_t root_in;
    uint32_t root_in6;
    enum action unix_clients;
    enum action others; /* of other families than IPv4, IPv6 and unix */
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

/* Returns a bit by its number, 0 to 127. */
static unsigned bit_of(struct key k, unsigned number)
{
    return (number < 64 ? k.high : k.low) >> (63 - number % 64) & 1;
}

/* Returns the number of leading bits that two keys have in common. */
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

static uint32_t add_node(struct access *a, struct key key, unsigned bits, enum action action)
{
    a->node[++a->count] = (struct node){
        .key = key,
        .bits = (uint8_t)bits,
        .action = (uint8_t)action,
    };
    return a->count;
}

/* Inserts a node above *link, for the first `bits` bits of key, which are fewer than those of
 * *link. */
static struct node *access_split(struct access *a, uint32_t *link, struct key key, unsigned bits)
{
    const uint32_t below = *link;
    *link = add_node(a, first_bits(key, bits), bits, ACTION_NONE);
    a->node[*link].child[bit_of(a->node[below].key, bits)] = below;
    return &a->node[*link];
}

/* Adds at most two nodes. */
static void access_insert(struct access *a, uint32_t *link, struct key key, unsigned bits,
                          enum action action)
{
    while (*link != NO_NODE) {
        struct node *n = &a->node[*link];
        unsigned common = common_bits(n->key, key);
        if (common > bits)
            common = bits;
        if (common < n->bits)
            n = access_split(a, link, key, common);
        if (n->action != ACTION_NONE)
            return; /* within the network of an earlier rule */
        if (n->bits == bits) {
            n->action = (uint8_t)action;
            return;
        }
        link = &n->child[bit_of(key, n->bits)];
    }
    *link = add_node(a, key, bits, action);
}

static void decide(enum action *action, enum action by)
{
    if (*action == ACTION_NONE)
        *action = by;
}

static void add_rule(struct access *a, const struct access_rule *r)
{
    static const struct key zero;
    const struct network *n = &r->network;
    enum action action = r->allow ? ACTION_ALLOW : ACTION_DENY;
    switch (n->family) {
    case AF_INET:
        access_insert(a, &a->root_in, key_of_in(n->in), n->prefix, action);
        break;
    case AF_INET6:
        access_insert(a, &a->root_in6, key_of_in6(&n->in6), n->prefix, action);
        break;
    case AF_UNIX:
        decide(&a->unix_clients, action);
        break;
    default:
        access_insert(a, &a->root_in, zero, 0, action);
        access_insert(a, &a->root_in6, zero, 0, action);
        decide(&a->unix_clients, action);
        decide(&a->others, action);
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

static enum action look_up(const struct access *a, uint32_t at, struct key key, unsigned bits)
{
    enum action action = ACTION_NONE;
    while (at != NO_NODE) {
        const struct node *n = &a->node[at];
        if (common_bits(n->key, key) < n->bits)
            break;
        if (n->action != ACTION_NONE)
            action = n->action;
        if (n->bits == bits)
            break;
        at = n->child[bit_of(key, n->bits)];
    }
    return action;
}

bool access_allows(const struct access *a, const struct addr_peer *client)
{
    switch (client->sa.sa_family) {
    case AF_INET:
        return look_up(a, a->root_in, key_of_in(client->in.sin_addr), 32) != ACTION_DENY;
    case AF_INET6:
        return look_up(a, a->root_in6, key_of_in6(&client->in6.sin6_addr), 128) != ACTION_DENY;
    case AF_UNIX:
        return a->unix_clients != ACTION_DENY;
    default:
        return a->others != ACTION_DENY;
    }
}
