#include "session/client_limits.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/hash.h"

#define GROUPS     256 /* a power of two: chain n is of group n % GROUPS */
#define CACHE_LINE 64

/* Each new session adds `period` to the debt of its client, and each ms subtracts `count`: exact,
 * in integers. */
struct rate {
    uint64_t count; /* 0: no limit */
    uint64_t period;
};

struct client {
    SLIST_ENTRY(client) in_chain;
    struct in6_addr ip; /* IPv4 as ::ffff:1.2.3.4; of IPv6 the prefix */
    uint64_t debt;      /* 0: the token bucket is full */
    uint64_t at;        /* ms, time of that debt */
    uint64_t open;      /* open sessions */
};

SLIST_HEAD(chain, client);

/* A group of chains with one lock and its own copy of the limits: a change locks one group at a
 * time, so that no thread waits for all. */
struct group {
    _Alignas(CACHE_LINE) pthread_mutex_t mutex;
    uint64_t max_connections;
    struct rate rate;
};

struct client_limits {
    unsigned ip6_prefix;
    struct hash_key key;
    struct group group[GROUPS];
    struct chain chain[CLIENT_LIMITS_CHAINS];
};

struct client_limits *client_limits_new(uint64_t max_connections, uint64_t rate_count,
                                        uint64_t rate_period, unsigned ip6_prefix)
{
    struct hash_key key;
    struct client_limits *l = NULL;
    if (getentropy(&key, sizeof key) == -1 ||
        posix_memalign((void **)&l, CACHE_LINE, sizeof *l) != 0)
        return NULL;
    l->ip6_prefix = ip6_prefix;
    l->key = key;
    for (unsigned i = 0; i < GROUPS; i++) {
        pthread_mutex_init(&l->group[i].mutex, NULL);
        l->group[i].max_connections = max_connections;
        l->group[i].rate = (struct rate){ rate_count, rate_period };
    }
    for (unsigned i = 0; i < CLIENT_LIMITS_CHAINS; i++)
        SLIST_INIT(&l->chain[i]);
    return l;
}

void client_limits_free(struct client_limits *l)
{
    if (l == NULL)
        return;
    for (unsigned i = 0; i < CLIENT_LIMITS_CHAINS; i++) {
        struct client *c;
        while ((c = SLIST_FIRST(&l->chain[i])) != NULL) {
            SLIST_REMOVE_HEAD(&l->chain[i], in_chain);
            free(c);
        }
    }
    for (unsigned i = 0; i < GROUPS; i++)
        pthread_mutex_destroy(&l->group[i].mutex);
    free(l);
}

/* --- The address that is counted --- */

static bool is_counted(const struct addr_peer *p)
{
    return p->sa.sa_family == AF_INET || p->sa.sa_family == AF_INET6;
}

static struct in6_addr client_limits_ip_of(const struct client_limits *l, const struct addr_peer *p)
{
    struct in6_addr ip = { .s6_addr = { [10] = 0xff, [11] = 0xff } };
    if (p->sa.sa_family == AF_INET) {
        memcpy(&ip.s6_addr[12], &p->in.sin_addr, sizeof p->in.sin_addr);
        return ip;
    }
    ip = p->in6.sin6_addr;
    for (unsigned i = l->ip6_prefix / 8; i < sizeof ip.s6_addr; i++)
        ip.s6_addr[i] &= i == l->ip6_prefix / 8 ? (uint8_t)(0xff00 >> l->ip6_prefix % 8) : 0;
    return ip;
}

static unsigned client_limits_chain_of(const struct client_limits *l, const struct in6_addr *ip)
{
    return (unsigned)(hash_siphash(&l->key, ip, sizeof *ip) % CLIENT_LIMITS_CHAINS);
}

static struct group *lock(struct client_limits *l, unsigned chain)
{
    struct group *g = &l->group[chain % GROUPS];
    pthread_mutex_lock(&g->mutex);
    return g;
}

static void unlock(struct group *g)
{
    pthread_mutex_unlock(&g->mutex);
}

/* --- Rates --- */

/* Subtracts from the debt what the time since the last call pays off. */
static void pay_off(const struct rate *r, struct client *c, uint64_t now)
{
    const uint64_t elapsed = now > c->at ? now - c->at : 0;
    const uint64_t earned = elapsed < r->period ? elapsed * r->count : UINT64_MAX;
    c->debt -= earned < c->debt ? earned : c->debt;
    c->at += elapsed;
}

static bool is_used_up(const struct rate *r, const struct client *c)
{
    return r->count > 0 && c->debt > (r->count - 1) * r->period;
}

/* Converts a debt to another rate: for the same number of sessions, at most the whole rate. */
static uint64_t convert(uint64_t debt, const struct rate *from, const struct rate *to)
{
    if (from->count == 0 || to->count == 0)
        return 0;
    const uint64_t sessions = debt / from->period;
    const uint64_t rest = debt % from->period * to->period / from->period;
    return sessions < to->count ? sessions * to->period + rest : to->count * to->period;
}

static bool is_unused(const struct client *c)
{
    return c->open == 0 && c->debt == 0;
}

/* --- Chains: all of this under the lock of their group --- */

/* Finds a client; frees the unused ones that it passes. */
static struct client *client_limits_find(const struct group *g, struct chain *chain,
                                         const struct in6_addr *ip, uint64_t now)
{
    struct client *found = NULL;
    struct client **link = &SLIST_FIRST(chain);
    while (*link != NULL) {
        struct client *c = *link;
        pay_off(&g->rate, c, now);
        if (memcmp(&c->ip, ip, sizeof *ip) == 0)
            found = c;
        else if (is_unused(c)) {
            *link = SLIST_NEXT(c, in_chain);
            free(c);
            continue;
        }
        link = &SLIST_NEXT(c, in_chain);
    }
    return found;
}

static struct client *client_limits_add(struct chain *chain, const struct in6_addr *ip,
                                        uint64_t now)
{
    struct client *c = calloc(1, sizeof *c);
    if (c == NULL)
        return NULL;
    c->ip = *ip;
    c->at = now;
    SLIST_INSERT_HEAD(chain, c, in_chain);
    return c;
}

static void client_limits_remove(struct chain *chain, struct client *c)
{
    SLIST_REMOVE(chain, c, client, in_chain);
    free(c);
}

/* If the chain has too many clients without sessions, frees the one with the least debt. */
static void trim(struct chain *chain)
{
    unsigned idle = 0;
    struct client *least = NULL;
    for (struct client *c = SLIST_FIRST(chain); c != NULL; c = SLIST_NEXT(c, in_chain)) {
        if (c->open > 0)
            continue;
        idle++;
        if (least == NULL || c->debt < least->debt)
            least = c;
    }
    if (idle > CLIENT_LIMITS_CHAIN_KEEPS)
        client_limits_remove(chain, least);
}

static enum client_limits_result client_limits_count(const struct group *g, struct chain *chain,
                                                     const struct in6_addr *ip, uint64_t now)
{
    struct client *c = client_limits_find(g, chain, ip, now);
    if (c == NULL && (c = client_limits_add(chain, ip, now)) == NULL)
        return CLIENT_LIMITS_MEMORY;
    if (g->max_connections > 0 && c->open >= g->max_connections)
        return CLIENT_LIMITS_CONNECTIONS;
    if (is_used_up(&g->rate, c))
        return CLIENT_LIMITS_RATE;
    c->open++;
    c->debt += g->rate.count > 0 ? g->rate.period : 0;
    return CLIENT_LIMITS_OK;
}

enum client_limits_result client_limits_acquire(struct client_limits *l,
                                                const struct addr_peer *client, uint64_t now)
{
    if (!is_counted(client))
        return CLIENT_LIMITS_OK;
    const struct in6_addr ip = client_limits_ip_of(l, client);
    const unsigned n = client_limits_chain_of(l, &ip);
    struct group *g = lock(l, n);
    enum client_limits_result result = client_limits_count(g, &l->chain[n], &ip, now);
    unlock(g);
    return result;
}

bool client_limits_adopt(struct client_limits *l, const struct addr_peer *client, uint64_t now)
{
    if (!is_counted(client))
        return true;
    const struct in6_addr ip = client_limits_ip_of(l, client);
    const unsigned n = client_limits_chain_of(l, &ip);
    struct group *g = lock(l, n);
    struct client *c = client_limits_find(g, &l->chain[n], &ip, now);
    if (c == NULL)
        c = client_limits_add(&l->chain[n], &ip, now);
    if (c != NULL)
        c->open++;
    unlock(g);
    return c != NULL;
}

void client_limits_release(struct client_limits *l, const struct addr_peer *client, uint64_t now)
{
    if (!is_counted(client))
        return;
    const struct in6_addr ip = client_limits_ip_of(l, client);
    const unsigned n = client_limits_chain_of(l, &ip);
    struct group *g = lock(l, n);
    struct client *c = client_limits_find(g, &l->chain[n], &ip, now);
    assert(c != NULL && c->open > 0);
    c->open--;
    if (is_unused(c))
        client_limits_remove(&l->chain[n], c);
    else if (c->open == 0)
        trim(&l->chain[n]);
    unlock(g);
}

static void change_rate(struct client_limits *l, unsigned group, const struct rate *to,
                        uint64_t now)
{
    const struct rate *from = &l->group[group].rate;
    struct client *c;
    for (unsigned n = group; n < CLIENT_LIMITS_CHAINS; n += GROUPS)
        SLIST_FOREACH(c, &l->chain[n], in_chain) {
            pay_off(from, c, now);
            c->debt = convert(c->debt, from, to);
        }
}

void client_limits_change(struct client_limits *l, uint64_t max_connections, uint64_t rate_count,
                          uint64_t rate_period, uint64_t now)
{
    const struct rate rate = { rate_count, rate_period };
    const struct group *any = &l->group[0]; /* only the caller's thread writes these */
    if (any->max_connections == max_connections && any->rate.count == rate_count &&
        any->rate.period == rate_period)
        return;
    for (unsigned i = 0; i < GROUPS; i++) {
        struct group *g = lock(l, i);
        change_rate(l, i, &rate, now);
        g->max_connections = max_connections;
        g->rate = rate;
        unlock(g);
    }
}
