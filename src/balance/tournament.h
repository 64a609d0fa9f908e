/* A tournament of servers: who comes first is known at any time, and a change costs one way up the
 * tree, O(log n). Shared by all threads, without locks.
 *
 * After Jayanti, "f-arrays: implementation and applications" (PODC 2002): each node holds the
 * winner of its two children, and whoever has changed something plays the matches from that leaf
 * to the root again. Jayanti plays each at most twice; here each is played until its result is the
 * one that is written there, which needs no version numbers in the nodes. A result that is out of
 * date is put right by the one who has written it, or by the one whose change it does not know of:
 * when all calls have returned, every node tells the truth.
 *
 * A node names its winner and the standing with which it has won, by a stamp that changes with the
 * standing. Where that is no longer the server's standing the match is not played: the outdated
 * one passes as the winner, all the way up if need be, so that whoever reads the root sees that
 * the tree is not up to date and helps. So what tournament_best() returns has won every match
 * with the standing that is returned along with it.
 */
#ifndef ZPROXY_BALANCE_TOURNAMENT_H
#define ZPROXY_BALANCE_TOURNAMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"

#define TOURNAMENT_SERVERS_MAX 65536u

/* What counts of a server: 48 bits, as the rules have it. */
#define TOURNAMENT_STANDING_BITS 48

struct tournament;

struct tournament_rules {
    uint64_t (*standing)(const struct server *srv, uint64_t now);
    /* Whether server i, standing at si, comes before j; a strict order. */
    bool (*before)(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj);
    const void *arg;
};

/* servers[count] and what they point to outlive it. NULL when out of memory. */
struct tournament *tournament_new(struct server *const *servers, size_t count,
                                  const struct tournament_rules *rules);
void tournament_free(struct tournament *t);

/* Server i may stand elsewhere now. Costs next to nothing if it does not. */
void tournament_changed(struct tournament *t, size_t i, uint64_t now);
/* The same where the order depends on more than the standing: plays all matches of i. */
void tournament_replay(struct tournament *t, size_t i, uint64_t now);

/* A search for the best, without those that have been excluded from it: the subtrees in which they
 * are not. Plain data, on the caller's stack. */
#define TOURNAMENT_SUBTREES_MAX 256u
struct tournament_search {
    struct tournament *tree;
    uint64_t now;
    size_t count;
    uint32_t subtree[TOURNAMENT_SUBTREES_MAX];
};

void tournament_search(struct tournament_search *s, struct tournament *t, uint64_t now);

/* The best of those that are left, and its standing; -1 when none is left. */
long tournament_best(struct tournament_search *s, uint64_t *standing);

/* Leaves out i, which tournament_best() has returned. False when there is no room for what remains:
 * after 15 exclusions at the earliest, 24 among 1,000 servers. */
bool tournament_exclude(struct tournament_search *s, size_t i);

#endif
