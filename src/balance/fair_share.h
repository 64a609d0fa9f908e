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
    uint64_t limit;  /* 0: none */
    uint64_t active; /* sessions that it has */
    bool backup;
    bool fixed;    /* while shares are computed */
    uint64_t fair; /* the result; SERVER_NO_SHARE if weight is 0 */
};

/* Reads a server. now: ms; full: regardless of slow start. */
struct fair_share fair_share_of(const struct server *srv, uint64_t now, bool full);

/* Sets fair in share[count]. sessions: to be divided. in_order: the first server gets as many as
 * its limit allows, then the next one, as balance "first" does. Where the result is not a whole
 * number, servers that have more sessions get the next higher one. */
void fair_share_divide(struct fair_share *share, size_t count, uint64_t sessions, bool in_order);

/* The sessions of the servers that get sessions now. */
uint64_t fair_share_sessions(const struct fair_share *share, size_t count);

/* Sessions beyond the server's share. */
uint64_t fair_share_excess(const struct fair_share *share);

/* The number of sessions that have to move: those beyond shares, as far as other servers lack
 * sessions. coming: sessions that are on no server at present, but counted in the division. */
uint64_t fair_share_to_move(const struct fair_share *share, size_t count, uint64_t coming);

#endif
