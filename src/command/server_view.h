/* Finds servers by the names that users type, and describes servers in tables. For the control
 * thread. */
#ifndef ZPROXY_COMMAND_SERVER_VIEW_H
#define ZPROXY_COMMAND_SERVER_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/pool.h"
#include "balance/server.h"
#include "base/sheet.h"
#include "command/request.h"
#include "config/config.h"
#include "control/runtime.h"

#define SERVER_VIEW_WHY_MAX 320

struct server_view {
    const char *status;            /* "up", "down" by its checks, "out" after failed connects */
    char why[SERVER_VIEW_WHY_MAX]; /* details of the status; "": none */
};

void server_view(const struct runtime *rt, const struct pool *p, const struct server *srv,
                 struct server_view *view);

/* The columns that name a server: "POOL/SERVER", as in commands; in JSON also pool and name by
 * themselves. */
#define SERVER_COLUMNS                                     \
    { "server", SHEET_TEXT }, { "pool", SHEET_JSON_TEXT }, \
    {                                                      \
        "server_name", SHEET_JSON_TEXT                     \
    }

/* Fills SERVER_COLUMNS. name NULL: there is no server, only the pool is shown. */
void server_view_put(struct sheet *s, const char *pool, const char *name);

/* The servers that "POOL/SERVER" means. SERVER is an address, or a name, which several servers have
 * if it resolves to several addresses. */
struct server_matches {
    struct pool *pool;
    struct server **server;
    size_t count;
};

/* Finds servers. Returns true, and the caller must call server_matches_free(); or false after
 * failing the request. */
bool server_view_find(struct request *r, const char *text, struct server_matches *matches);
/* The same, but a server that the pool does not have is no failure: count is 0. */
bool server_view_look_up(struct request *r, const char *text, struct server_matches *matches);
void server_matches_free(struct server_matches *matches);

/* Returns the pool of that name, or NULL after failing the request. */
struct pool *server_view_find_pool(struct request *r, const char *name);

#endif
