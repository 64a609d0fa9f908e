/* The shares that the servers of a pool have of its sessions at one moment, for a rebalance
 * (rebalances.h), and what new sessions see of them. For the control thread. */
#ifndef ZPROXY_CONTROL_REBALANCE_SHARES_H
#define ZPROXY_CONTROL_REBALANCE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/fair_share.h"
#include "balance/pool.h"
#include "control/rebalance_wave.h"

struct rebalance_shares {
    struct fair_share *share; /* of each server; the caller frees it */
    size_t count;
    uint64_t to_move; /* sessions beyond shares */
    bool slow_start;  /* a server is in slow start */
};

enum rebalance_share_kind {
    REBALANCE_SHARES_NOW,
    REBALANCE_SHARES_FULL,   /* as if no server were in slow start */
    REBALANCE_SHARES_RETURN, /* the same, and as if the absent servers were back */
};

/* Divides the sessions. coming: sessions that were closed and have not come back. Returns -ENOMEM
 * or 0. */
int rebalance_shares_compute(struct rebalance_shares *s, const struct pool *p,
                             enum rebalance_share_kind kind, uint64_t coming, uint64_t now);

/* Publishes the shares for new sessions, and marks the servers that have one. */
void rebalance_shares_publish(struct pool *p, const struct rebalance_shares *s);
/* Sessions that begin now are chosen by the policy alone. */
void rebalance_shares_forget(struct pool *p);

/* Absent are servers that were marked, and get no sessions now: they are down, out, drained or in
 * maintenance. Removed servers are not in the pool any more, and not absent. */
uint64_t rebalance_shares_absent(const struct pool *p);
/* Marks the servers that get sessions now; all: every server. */
void rebalance_shares_mark(const struct pool *p, bool all);
void rebalance_shares_unmark(const struct pool *p);

/* Sessions on all servers. */
uint64_t rebalance_shares_present(const struct pool *p);

/* The servers with sessions beyond their shares. The caller frees the list. Returns NULL when out
 * of memory. */
struct rebalance_quota *
rebalance_shares_list_excess(const struct pool *p, const struct rebalance_shares *s, size_t *count);

#endif
