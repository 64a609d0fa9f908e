#include "session/frontend.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/socket.h>

#define MS_PER_S 1000

/* A receive buffer for peeking: the longest PROXY header or hello must fit, also in small segments,
 * which take more memory. So it is twice the longest. */
#define PEEK_BUFFER (64 * 1024)

/* Whether the pool, or one of its fallbacks, hashes by the TLS server name. */
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
    bool peeks = c->accept_proxy || c->tls || wants_hello(c);
    return peeks && c->receive_buffer != 0 && c->receive_buffer < PEEK_BUFFER ? PEEK_BUFFER
                                                                              : c->receive_buffer;
}

struct sock_options frontend_sock_options(const struct config_listen *c)
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
        .congestion = c->tcp.congestion,
        .dscp = c->tcp.dscp.value,
        .notsent_lowat = (int)c->tcp.notsent_lowat,
        .backlog = (int)c->backlog,
        .fastopen = (int)c->fastopen,
        .defer_accept = (int)((c->defer_accept + MS_PER_S - 1) / MS_PER_S),
    };
}

static int make_access(struct frontend *f)
{
    const struct config_listen *c = f->conf;
    size_t max =
        c->access_count > c->trusted_proxy_count ? c->access_count : c->trusted_proxy_count;
    struct access_rule *rule = calloc(max + 1, sizeof *rule);
    if (rule == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < c->access_count; i++)
        rule[i] = (struct access_rule){ c->access[i].network, c->access[i].allow };
    if (c->access_count > 0)
        f->access = access_new(rule, c->access_count);
    for (size_t i = 0; i < c->trusted_proxy_count; i++)
        rule[i] = (struct access_rule){ c->trusted_proxy[i], true };
    rule[c->trusted_proxy_count] = (struct access_rule){ { .family = AF_UNSPEC }, false };
    if (c->accept_proxy)
        f->trusted = access_new(rule, c->trusted_proxy_count + 1);
    free(rule);
    bool short_of_memory =
        (c->access_count > 0 && f->access == NULL) || (c->accept_proxy && f->trusted == NULL);
    return short_of_memory ? -ENOMEM : 0;
}

static int make_routes(struct frontend *f, frontend_find_pool_fn *find, const void *pools)
{
    const struct config_listen *c = f->conf;
    f->routes = calloc(c->route_count + 1, sizeof *f->routes);
    if (f->routes == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < c->route_count; i++)
        f->routes[i] = (struct route){
            .sni = &c->route[i].sni,
            .alpn = &c->route[i].alpn,
            .pool = find(pools, c->route[i].pool->name),
        };
    f->wants_hello = !c->tls && wants_hello(c);
    return 0;
}

static size_t count_chain(const struct config_pool *p, size_t max)
{
    size_t n = 0;
    for (; p != NULL && n < max; p = p->fallback)
        n++;
    return n;
}

/* Adds p and its fallbacks. */
static size_t add_chain(struct end_counts_entry *table, const struct config_pool *p, size_t max,
                        frontend_find_pool_fn *find, const void *pools)
{
    size_t n = 0;
    for (; p != NULL && n < max; p = p->fallback)
        table[n++].pool = find(pools, p->name);
    return n;
}

#define CHAIN_MAX 64 /* fallbacks in a row; sessions beyond them count for the listener's pool */

static int make_ended(struct frontend *f, frontend_find_pool_fn *find, const void *pools)
{
    const struct config_listen *c = f->conf;
    size_t count = count_chain(c->pool, CHAIN_MAX);
    for (size_t i = 0; i < c->route_count; i++)
        count += count_chain(c->route[i].pool, CHAIN_MAX);
    f->ended = calloc(count + 1, sizeof *f->ended);
    if (f->ended == NULL)
        return -ENOMEM;
    count = add_chain(f->ended, c->pool, CHAIN_MAX, find, pools);
    for (size_t i = 0; i < c->route_count; i++)
        count += add_chain(f->ended + count, c->route[i].pool, CHAIN_MAX, find, pools);
    int rc = end_counts_get(&f->listener_state->ended, f->ended, count);
    f->ended_count = rc < 0 ? 0 : (size_t)rc;
    return rc < 0 ? rc : 0;
}

int frontend_init(struct frontend *f, const struct config_listen *conf,
                  struct conn_limit *process_limit, struct listener_state *listener_state,
                  frontend_find_pool_fn *find, const void *pools)
{
    f->conf = conf;
    f->pool = find(pools, conf->pool->name);
    f->process_limit = process_limit;
    f->listener_state = listener_state;
    f->options = frontend_sock_options(conf);
    atomic_init(&f->sessions, 0);
    int rc = make_access(f);
    if (rc == 0)
        rc = make_routes(f, find, pools);
    if (rc == 0)
        rc = make_ended(f, find, pools);
    return rc == 0 ? client_quota_get(&f->client_quota, listener_state->client_quota, conf) : rc;
}

void frontend_fini(struct frontend *f)
{
    access_free(f->access);
    access_free(f->trusted);
    client_quota_unref(f->client_quota);
    free(f->routes);
    end_counts_put(f->ended, f->ended_count);
    free(f->ended);
    listener_state_put(f->listener_state);
}

void frontend_take_effect(struct frontend *f, uint64_t now)
{
    client_quota_set(f->client_quota, f->conf, now);
    listener_state_set_limits(f->listener_state, f->conf->max_connections, f->client_quota);
}

enum session_end frontend_admit_client(struct frontend *f, const struct addr_peer *client,
                                       uint64_t now)
{
    if (f->access != NULL && !access_allows(f->access, client))
        return SESSION_END_DENIED;
    if (f->client_quota == NULL)
        return SESSION_END_NONE;
    switch (client_limits_acquire(f->client_quota->client_limits, client, now)) {
    case CLIENT_LIMITS_OK:
        return SESSION_END_NONE;
    case CLIENT_LIMITS_CONNECTIONS:
        return SESSION_END_LIMIT;
    case CLIENT_LIMITS_RATE:
        return SESSION_END_RATE_LIMITED;
    case CLIENT_LIMITS_MEMORY:
        break;
    }
    return SESSION_END_RESOURCE;
}

void frontend_release_client(struct frontend *f, const struct addr_peer *client, uint64_t now)
{
    if (f->client_quota != NULL)
        client_limits_release(f->client_quota->client_limits, client, now);
}

bool frontend_acquire_slot(struct frontend *f)
{
    if (!conn_limit_acquire(&f->listener_state->conn_limit))
        return false;
    if (conn_limit_acquire(f->process_limit)) {
        atomic_fetch_add_explicit(&f->sessions, 1, memory_order_relaxed);
        return true;
    }
    conn_limit_release(&f->listener_state->conn_limit);
    return false;
}

enum accept_reason frontend_pause_reason(const struct frontend *f)
{
    return conn_limit_reason(conn_limit_is_full(&f->listener_state->conn_limit)
                                 ? &f->listener_state->conn_limit
                                 : f->process_limit);
}

void frontend_force_slot(struct frontend *f)
{
    conn_limit_force(&f->listener_state->conn_limit);
    conn_limit_force(f->process_limit);
    atomic_fetch_add_explicit(&f->sessions, 1, memory_order_relaxed);
}

void frontend_release_slot(struct frontend *f)
{
    conn_limit_release(f->process_limit);
    conn_limit_release(&f->listener_state->conn_limit);
    /* release: control may free the frontend after this; all earlier accesses come before */
    atomic_fetch_sub_explicit(&f->sessions, 1, memory_order_release);
}

void frontend_count_connection(struct frontend *f)
{
    counter_add_shared(&f->listener_state->connections, 1);
}

void frontend_count_handshake(struct frontend *f, enum tls_handshake_result result,
                              uint16_t version)
{
    size_t i = tls_handshake_index(result, tls_handshake_version_of(version));
    counter_add_shared(&f->listener_state->handshakes[i], 1);
}

void frontend_count_end(const struct frontend *f, const struct pool *p, enum session_end why)
{
    end_counts_add(f->ended, f->ended_count, p, f->pool, why);
}

void frontend_end_session(struct frontend *f, enum session_end why)
{
    if (session_end_is_refusal(why))
        counter_add_shared(&f->listener_state->refused[why], 1);
    frontend_release_slot(f);
}

bool frontend_is_idle(const struct frontend *f)
{
    /* acquire: pairs with the release in frontend_release_slot(); the caller frees the frontend */
    return atomic_load_explicit(&f->sessions, memory_order_acquire) == 0;
}
