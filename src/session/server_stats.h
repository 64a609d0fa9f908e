/* The bytes that the sessions of one worker move to and from each server.
 *
 * The byte counters of a server are shared by all workers, and a session may last for days. So each
 * worker adds up the bytes of its sessions, and adds the sum to the server's counters twice a
 * second and when a session ends. A message costs two plain additions, and a reader sees the bytes
 * of sessions that have not ended. For the worker's thread.
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
    uint64_t sent; /* to the server, not yet added to its counters; likewise received */
    uint64_t received;
    unsigned users; /* sessions */
    LIST_ENTRY(server_stats) in_list;
    LIST_ENTRY(server_stats) in_moved;
};

LIST_HEAD(server_stats_list, server_stats);

/* Of one worker. */
struct server_stats_table {
    struct server_stats_list list[SERVER_STATS_LISTS]; /* by the server's serial */
    struct server_stats_list moved;                    /* those to be added to their servers */
    uint64_t due;                                      /* ms; when that must be done */
};

void server_stats_table_init(struct server_stats_table *table);

/* Returns the stats of srv, for a session that has a slot on it until server_stats_put(). NULL when
 * out of memory: then its bytes are not counted. */
struct server_stats *server_stats_get(struct server_stats_table *table, struct server *srv);
/* Adds the sums to the server, and frees the stats after their last user. stats may be NULL. */
void server_stats_put(struct server_stats *stats);

/* Counts bytes that a session has moved. now: ms. stats may be NULL. */
void server_stats_add(struct server_stats_table *table, struct server_stats *stats, uint64_t sent,
                      uint64_t received, uint64_t now);

/* When server_stats_table_flush() must be called, ms; UINT64_MAX: no bytes to add. */
uint64_t server_stats_table_due(const struct server_stats_table *table);
/* Adds the sums to the servers, if that is due. */
void server_stats_table_flush(struct server_stats_table *table, uint64_t now);

#endif
