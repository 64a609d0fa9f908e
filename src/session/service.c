#include "session/service.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MS_PER_S 1000

/* What is looked at before it is taken must fit into the receive buffer, in however small segments
 * it comes: the longest header or hello, twice. */
#define LOOK_BUFFER (64 * 1024)

/* The pool's hash goes by what a TLS client says; or that of one to fall back on. */
static bool hashes_names(const struct config_pool *p)
{
    while (p != NULL && p->hash_key != CONFIG_HASH_SNI)
        p = p->fallback;
    return p != NULL;
}

static bool wants_hello(const struct config_listen *c)
{
    return c->route_count > 0 || hashes_names(c->pool);
}

static uint64_t receive_buffer(const struct config_listen *c)
{
    bool looks = c->accept_proxy || wants_hello(c);
    return looks && c->receive_buffer != 0 && c->receive_buffer < LOOK_BUFFER ? LOOK_BUFFER
                                                                              : c->receive_buffer;
}

struct sock_options service_options(const struct config_listen *c)
{
    return (struct sock_options){
        .nodelay = c->nodelay,
        .keepalive = c->keepalive.on,
        .keepalive_time = (int)(c->keepalive.time / MS_PER_S),
        .keepalive_interval = (int)(c->keepalive.interval / MS_PER_S),
        .keepalive_count = (int)c->keepalive.count,
        .user_timeout = (int)c->tcp_user_timeout,
        .receive_buffer = (int)receive_buffer(c),
        .send_buffer = (int)c->send_buffer,
        .backlog = (int)c->backlog,
        .fastopen = (int)c->fastopen,
        .defer_accept = (int)((c->defer_accept + MS_PER_S - 1) / MS_PER_S),
    };
}

static int make_access(struct service *s)
{
    const struct config_listen *c = s->conf;
    size_t most =
        c->access_count > c->trusted_proxy_count ? c->access_count : c->trusted_proxy_count;
    struct access_rule *rule = calloc(most + 1, sizeof *rule);
    if (rule == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < c->access_count; i++)
        rule[i] = (struct access_rule){ c->access[i].network, c->access[i].allow };
    if (c->access_count > 0)
        s->access = access_new(rule, c->access_count);
    for (size_t i = 0; i < c->trusted_proxy_count; i++)
        rule[i] = (struct access_rule){ c->trusted_proxy[i], true };
    rule[c->trusted_proxy_count] = (struct access_rule){ { .family = AF_UNSPEC }, false };
    if (c->accept_proxy)
        s->trusted = access_new(rule, c->trusted_proxy_count + 1);
    free(rule);
    bool short_of_memory =
        (c->access_count > 0 && s->access == NULL) || (c->accept_proxy && s->trusted == NULL);
    return short_of_memory ? -ENOMEM : 0;
}

static int make_routes(struct service *s, service_find_fn *find, const void *pools)
{
    const struct config_listen *c = s->conf;
    s->routes = calloc(c->route_count + 1, sizeof *s->routes);
    if (s->routes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < c->route_count; i++)
        s->routes[i] = (struct route){
            .sni = &c->route[i].sni,
            .alpn = &c->route[i].alpn,
            .pool = find(pools, c->route[i].pool->name),
        };
    s->wants_hello = wants_hello(c);
    return 0;
}

static size_t count_chain(const struct config_pool *p, size_t most)
{
    size_t n = 0;
    for (; p != NULL && n < most; p = p->fallback)
        n++;
    return n;
}

/* Adds p and what it falls back on. */
static size_t add_chain(struct end_counts_of *table, const struct config_pool *p, size_t most,
                        service_find_fn *find, const void *pools)
{
    size_t n = 0;
    for (; p != NULL && n < most; p = p->fallback)
        table[n++].pool = find(pools, p->name);
    return n;
}

#define CHAIN_MAX 64 /* pools in a row; sessions of more count as the listener's own pool's */

static int make_ended(struct service *s, service_find_fn *find, const void *pools)
{
    const struct config_listen *c = s->conf;
    size_t count = count_chain(c->pool, CHAIN_MAX);
    for (size_t i = 0; i < c->route_count; i++)
        count += count_chain(c->route[i].pool, CHAIN_MAX);
    s->ended = calloc(count + 1, sizeof *s->ended);
    if (s->ended == NULL)
        return -ENOMEM;
    count = add_chain(s->ended, c->pool, CHAIN_MAX, find, pools);
    for (size_t i = 0; i < c->route_count; i++)
        count += add_chain(s->ended + count, c->route[i].pool, CHAIN_MAX, find, pools);
    int rc = end_counts_get(&s->entrance->ended, s->ended, count);
    s->ended_count = rc < 0 ? 0 : (size_t)rc;
    return rc < 0 ? rc : 0;
}

int service_init(struct service *s, const struct config_listen *conf, struct gate *all,
                 struct entrance *entrance, service_find_fn *find, const void *pools)
{
    s->conf = conf;
    s->pool = find(pools, conf->pool->name);
    s->all = all;
    s->entrance = entrance;
    s->options = service_options(conf);
    atomic_init(&s->sessions, 0);
    int rc = make_access(s);
    if (rc == 0)
        rc = make_routes(s, find, pools);
    if (rc == 0)
        rc = make_ended(s, find, pools);
    return rc == 0 ? quota_get(&s->quota, entrance->quota, conf) : rc;
}

void service_fini(struct service *s)
{
    access_free(s->access);
    access_free(s->trusted);
    quota_put(s->quota);
    free(s->routes);
    end_counts_put(s->ended, s->ended_count);
    free(s->ended);
    entrance_put(s->entrance);
}

void service_take_effect(struct service *s, uint64_t now)
{
    quota_set(s->quota, s->conf, now);
    entrance_set_limits(s->entrance, s->conf->max_connections, s->quota);
}

enum session_end service_admit(struct service *s, const struct addr_peer *client, uint64_t now)
{
    if (s->access != NULL && !access_allows(s->access, client))
        return SESSION_END_DENIED;
    if (s->quota == NULL)
        return SESSION_END_NONE;
    switch (limits_enter(s->quota->limits, client, now)) {
    case LIMITS_OK:
        return SESSION_END_NONE;
    case LIMITS_CONNECTIONS:
        return SESSION_END_LIMIT;
    case LIMITS_RATE:
        return SESSION_END_RATE_LIMITED;
    case LIMITS_MEMORY:
        break;
    }
    return SESSION_END_RESOURCE;
}

void service_dismiss(struct service *s, const struct addr_peer *client, uint64_t now)
{
    if (s->quota != NULL)
        limits_leave(s->quota->limits, client, now);
}

bool service_enter(struct service *s)
{
    if (!gate_enter(&s->entrance->gate))
        return false;
    if (gate_enter(s->all)) {
        atomic_fetch_add(&s->sessions, 1);
        return true;
    }
    gate_leave(&s->entrance->gate);
    return false;
}

enum accept_reason service_shut_by(const struct service *s)
{
    return gate_reason(gate_is_full(&s->entrance->gate) ? &s->entrance->gate : s->all);
}

void service_force(struct service *s)
{
    gate_force(&s->entrance->gate);
    gate_force(s->all);
    atomic_fetch_add(&s->sessions, 1);
}

void service_retreat(struct service *s)
{
    gate_leave(s->all);
    gate_leave(&s->entrance->gate);
    atomic_fetch_sub(&s->sessions, 1);
}

void service_count(struct service *s)
{
    atomic_fetch_add_explicit(&s->entrance->connections, 1, memory_order_relaxed);
}

void service_count_end(const struct service *s, const struct pool *p, enum session_end why)
{
    end_counts_add(s->ended, s->ended_count, p, s->pool, why);
}

void service_leave(struct service *s, enum session_end why)
{
    if (session_end_is_refusal(why))
        atomic_fetch_add_explicit(&s->entrance->refused[why], 1, memory_order_relaxed);
    service_retreat(s);
}

bool service_is_idle(const struct service *s)
{
    return atomic_load(&s->sessions) == 0;
}
