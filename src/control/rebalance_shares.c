#include "control/rebalance_shares.h"

#include <errno.h>
#include <stdlib.h>

#include "balance/passive_check.h"

static bool gets_sessions(const struct server *srv)
{
    return server_is_eligible(srv) && !passive_check_is_out(srv);
}

static bool is_absent(const struct server *srv)
{
    return srv->had_share && !gets_sessions(srv);
}

static bool is_in_order(const struct pool *p)
{
    return pool_conf(p)->balance == CONFIG_BALANCE_FIRST;
}

int rebalance_shares_compute(struct rebalance_shares *s, const struct pool *p,
                             enum rebalance_share_kind kind, uint64_t coming, uint64_t now)
{
    struct server *const *server = pool_servers(p, &s->count);
    s->slow_start = false;
    s->share = calloc(s->count + 1, sizeof *s->share);
    if (s->share == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->count; i++) {
        struct fair_share *share = &s->share[i];
        *share = fair_share_of(server[i], now, kind != REBALANCE_SHARES_NOW);
        if (kind == REBALANCE_SHARES_RETURN && is_absent(server[i]))
            share->weight = (uint64_t)server_weight(server[i]) * SERVER_FULL_SHARE;
        s->slow_start |= share->weight > 0 && server_share(server[i], now) < SERVER_FULL_SHARE;
    }
    fair_share_divide(s->share, s->count, fair_share_sessions(s->share, s->count) + coming,
                      is_in_order(p));
    s->to_move = fair_share_to_move(s->share, s->count, coming);
    return 0;
}

void rebalance_shares_publish(struct pool *p, const struct rebalance_shares *s)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        server_set_fair(server[i], s->share[i].fair);
    rebalance_shares_mark(p, false);
    pool_prefer_below_share(p, !is_in_order(p));
}

void rebalance_shares_forget(struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    pool_prefer_below_share(p, false);
    for (size_t i = 0; i < count; i++)
        server_set_fair(server[i], SERVER_NO_SHARE);
}

uint64_t rebalance_shares_absent(const struct pool *p)
{
    size_t count = 0;
    uint64_t absent = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        absent += is_absent(server[i]);
    return absent;
}

void rebalance_shares_mark(const struct pool *p, bool all)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        server[i]->had_share |= all || gets_sessions(server[i]);
}

void rebalance_shares_unmark(const struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        server[i]->had_share = false;
}

uint64_t rebalance_shares_present(const struct pool *p)
{
    size_t count = 0;
    uint64_t sum = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        sum += server_staying(server[i]);
    return sum;
}

struct rebalance_quota *
rebalance_shares_list_excess(const struct pool *p, const struct rebalance_shares *s, size_t *count)
{
    size_t servers = 0;
    struct server *const *server = pool_servers(p, &servers);
    struct rebalance_quota *excess = calloc(servers + 1, sizeof *excess);
    *count = 0;
    for (size_t i = 0; i < servers && excess != NULL; i++)
        if (fair_share_excess(&s->share[i]) > 0)
            excess[(*count)++] =
                (struct rebalance_quota){ server[i]->serial, fair_share_excess(&s->share[i]) };
    return excess;
}
