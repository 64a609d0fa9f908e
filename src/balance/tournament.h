/* A tournament tree of servers: the root names the best server, and a change of a server updates
 * the path from its leaf to the root, in O(log n). Shared by all threads without locks.
 *
 * After Jayanti, "f-arrays: implementation and applications" (PODC 2002): each node holds the
 * winner of its two children, and a thread that changes a leaf replays the matches on the path to
 * the root. Jayanti plays each match at most twice; here a thread plays a match until the node
 * holds the result, which needs no version numbers in the nodes. An outdated result is corrected by
 * the thread that stored it, or by the thread whose change it misses: when all calls have returned,
 * every node is right.
 *
 * A node holds its winner and a stamp of the standing that it won with; the stamp changes with the
 * standing. A match against a winner whose standing has changed is not played: the outdated winner
 * is passed up, if need be to the root, where a reader finds that the tree is outdated and updates
 * it. So the server that tournament_best() returns has won all its matches with the returned
 * standing.
 *
 * All accesses are sequentially consistent, and so must be those to values that the rules compare.
 * The proof needs that of two threads, one that changes a leaf and then loads a node, the other
 * that stores the node and then loads the leaf, one sees what the other stored.
 */
#ifndef ZPROXY_BALANCE_TOURNAMENT_H
#define ZPROXY_BALANCE_TOURNAMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"

#define TOURNAMENT_SERVERS_MAX 65536u

/* A standing is what the rules compare of a server, in 48 bits. */
#define TOURNAMENT_STANDING_BITS 48

struct tournament;

struct tournament_rules {
    uint64_t (*standing)(const struct server *srv, uint64_t now); /* now in ms */
    /* Whether server i with standing si is better than server j with standing sj. A strict order.
     */
    bool (*before)(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj);
    const void *arg;
};

/* Allocates a tree over servers[count], which outlive it. Returns NULL when out of memory. */
struct tournament *tournament_new(struct server *const *servers, size_t count,
                                  const struct tournament_rules *rules);
void tournament_free(struct tournament *t);

/* Updates the tree after a change of server i. If its standing is the same, this is a few loads. */
void tournament_changed(struct tournament *t, size_t i, uint64_t now);
/* Plays all matches of server i, also if its standing is the same: for rules that compare more than
 * the standing. */
void tournament_replay(struct tournament *t, size_t i, uint64_t now);

/* A search for the best server among those not excluded: the roots of the subtrees that have no
 * excluded server. On the caller's stack; needs no cleanup. */
#define TOURNAMENT_SUBTREES_MAX 256u
struct tournament_search {
    struct tournament *tree;
    uint64_t now;
    size_t count;
    uint32_t subtree[TOURNAMENT_SUBTREES_MAX];
};

void tournament_search(struct tournament_search *s, struct tournament *t, uint64_t now);

/* Returns the best server that is not excluded, and its standing; -1 if all are excluded. */
long tournament_best(struct tournament_search *s, uint64_t *standing);

/* Excludes server i, the result of tournament_best(). Returns false if the search has no room for
 * the remaining subtrees: after 15 exclusions at the earliest, after 24 with 1,000 servers. */
bool tournament_exclude(struct tournament_search *s, size_t i);

#endif
