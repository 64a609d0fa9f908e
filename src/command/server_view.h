/* Servers as the user names and sees them. For the control thread. */
#ifndef ZPROXY_COMMAND_SERVER_VIEW_H
#define ZPROXY_COMMAND_SERVER_VIEW_H

#include <stddef.h>
#include <stdint.h>

#include "balance/pool.h"
#include "balance/server.h"
#include "base/sheet.h"
#include "config/config.h"
#include "control/runtime.h"

#define SERVER_VIEW_WHY_MAX 320

struct server_view {
    const char *status;            /* "up", "down" by its checks, "out" after failed connects */
    char why[SERVER_VIEW_WHY_MAX]; /* what there is to say about it, "" nothing */
};

void server_view(const struct runtime *rt, const struct pool *p, const struct server *srv,
                 struct server_view *view);

/* A server of any pool: "POOL/SERVER", as commands take it; in JSON pool and name by themselves
 * too. */
#define SERVER_COLUMNS                                     \
    { "server", SHEET_TEXT }, { "pool", SHEET_JSON_TEXT }, \
    {                                                      \
        "server_name", SHEET_JSON_TEXT                     \
    }

/* Fills in SERVER_COLUMNS. name is NULL where there is no server: then the pool stands alone. */
void server_view_put(struct sheet *s, const char *pool, const char *name);

/* What follows "POOL/" in text names: a server by its name, of which there are several where a
 * name has several addresses; or by its address. */
struct server_matches {
    struct pool *pool;
    struct server **server; /* at least one */
    size_t count;
};

/* Returns 0 (server_matches_free() is the caller's), or -1 with *why, to be freed, saying what
 * there is not; *why is NULL when out of memory. */
int server_view_find(const struct runtime *rt, const char *text, struct server_matches *matches,
                     char **why);
void server_matches_free(struct server_matches *matches);

/* The pool of that name, or NULL with *why as above. */
struct pool *server_view_find_pool(const struct runtime *rt, const char *name, char **why);

#endif
