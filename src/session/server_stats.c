#include "session/server_stats.h"

#include <stdlib.h>

#define FLUSH_MS 500

void server_stats_table_init(struct server_stats_table *table)
{
    for (size_t i = 0; i < SERVER_STATS_LISTS; i++)
        LIST_INIT(&table->list[i]);
    LIST_INIT(&table->moved);
    table->due = 0;
}

static struct server_stats *server_stats_new(struct server_stats_list *list, struct server *srv)
{
    struct server_stats *stats = calloc(1, sizeof *stats);
    if (stats == NULL)
        return NULL;
    stats->server = srv;
    LIST_INSERT_HEAD(list, stats, in_list);
    return stats;
}

struct server_stats *server_stats_get(struct server_stats_table *table, struct server *srv)
{
    struct server_stats_list *list = &table->list[srv->serial % SERVER_STATS_LISTS];
    struct server_stats *stats;
    LIST_FOREACH(stats, list, in_list)
        if (stats->server == srv)
            break;
    if (stats == NULL)
        stats = server_stats_new(list, srv);
    if (stats != NULL)
        stats->users++;
    return stats;
}

static void server_stats_flush(struct server_stats *stats)
{
    if (stats->sent == 0 && stats->received == 0)
        return;
    LIST_REMOVE(stats, in_moved);
    counter_add_shared(&stats->server->counter[SERVER_SENT], stats->sent);
    counter_add_shared(&stats->server->counter[SERVER_RECEIVED], stats->received);
    stats->sent = stats->received = 0;
}

void server_stats_put(struct server_stats *stats)
{
    if (stats == NULL)
        return;
    server_stats_flush(stats);
    if (--stats->users > 0)
        return;
    LIST_REMOVE(stats, in_list);
    free(stats);
}

void server_stats_add(struct server_stats_table *table, struct server_stats *stats, uint64_t sent,
                      uint64_t received, uint64_t now)
{
    if (stats == NULL || (sent == 0 && received == 0))
        return;
    if (stats->sent == 0 && stats->received == 0) {
        if (LIST_EMPTY(&table->moved))
            table->due = now + FLUSH_MS;
        LIST_INSERT_HEAD(&table->moved, stats, in_moved);
    }
    stats->sent += sent;
    stats->received += received;
}

uint64_t server_stats_table_due(const struct server_stats_table *table)
{
    return LIST_EMPTY(&table->moved) ? UINT64_MAX : table->due;
}

void server_stats_table_flush(struct server_stats_table *table, uint64_t now)
{
    struct server_stats *stats;
    if (server_stats_table_due(table) > now)
        return;
    while ((stats = LIST_FIRST(&table->moved)) != NULL)
        server_stats_flush(stats);
}
