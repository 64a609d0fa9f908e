/* How many of a pool's sessions each server should have.
 *
 * Sessions are divided in proportion to the weights of the servers that get sessions now, as far as
 * their limits allow; backups get what the regular servers cannot take. Pure functions, for the
 * control thread.
 */
#ifndef ZPROXY_BALANCE_FAIR_SHARE_H
#define ZPROXY_BALANCE_FAIR_SHARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"

struct fair_share {
    uint64_t weight; /* weight * share of the slow start; 0: the server gets no sessions now */
    uint64_t limit;  /* max_connections; 0: none */
    uint64_t active; /* sessions that it has */
    bool backup;
    bool fixed;    /* fair_share_divide() only: fair is final */
    uint64_t fair; /* the result; SERVER_NO_SHARE if weight is 0 */
};

/* The values of a server; fair is not computed yet. now: ms. full: as if a slow start were over. */
struct fair_share fair_share_of(const struct server *srv, uint64_t now, bool full);

/* Divides `sessions` among share[count] and sets fair in each. in_order: the first server gets as
 * many as its limit allows, then the next one, as with balance "first". Fractions are rounded up
 * first for servers that have more sessions than their share, so that fewer sessions move. */
void fair_share_divide(struct fair_share *share, size_t count, uint64_t sessions, bool in_order);

/* The sessions of the servers that get sessions now. */
uint64_t fair_share_sessions(const struct fair_share *share, size_t count);

/* Sessions beyond the server's share. */
uint64_t fair_share_excess(const struct fair_share *share);

/* The number of sessions that have to move: the smaller one of the sessions beyond shares, and of
 * those that other servers lack. coming: sessions that were closed and have not come back; they
 * were divided too, and fill a part of what is lacking. */
uint64_t fair_share_to_move(const struct fair_share *share, size_t count, uint64_t coming);

#endif
