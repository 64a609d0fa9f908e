/* What the sessions of one worker move to and from each server.
 *
 * The bytes of a server are one number that all workers add to, and a session may last for days:
 * each worker adds up for itself what its sessions move, and hands it to the server when one of
 * them ends, and otherwise twice a second. So a message costs two additions, and a reader sees
 * what sessions are moving while they last. For the worker's thread.
 */
#ifndef ZPROXY_SESSION_SERVER_STATS_H
#define ZPROXY_SESSION_SERVER_STATS_H

#include <stdint.h>
#include <sys/queue.h>

#include "balance/server.h"

#define SERVER_STATS_LISTS 256u /* a power of two */

/* Of one server. */
struct server_stats {
    struct server *server;
    uint64_t sent; /* to it, not handed over yet */
    uint64_t received;
    unsigned users; /* sessions */
    LIST_ENTRY(server_stats) in_list;
    LIST_ENTRY(server_stats) in_moved;
};

LIST_HEAD(server_stats_list, server_stats);

/* Of one worker. */
struct server_stats_table {
    struct server_stats_list list[SERVER_STATS_LISTS]; /* by the server's serial */
    struct server_stats_list moved;                    /* those with something to hand over */
    uint64_t due;                                      /* ms; when that is to be done */
};

void server_stats_table_init(struct server_stats_table *table);

/* That of srv, for a session that has a place on it until server_stats_put(). NULL when out of
 * memory: nothing is counted. */
struct server_stats *server_stats_get(struct server_stats_table *table, struct server *srv);
/* Hands over, and frees it after its last user. NULL is allowed. */
void server_stats_put(struct server_stats *stats);

/* A session has moved bytes; now in ms. t may be NULL. */
void server_stats_add(struct server_stats_table *table, struct server_stats *stats, uint64_t sent,
                      uint64_t received, uint64_t now);

/* When server_stats_table_flush() is wanted, ms; UINT64_MAX: not before something moves. */
uint64_t server_stats_table_due(const struct server_stats_table *table);
/* Hands over what is due. */
void server_stats_table_flush(struct server_stats_table *table, uint64_t now);

#endif
