#include "command/command.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive_check.h"
#include "command/server_view.h"

/* Parses the address of a client, with or without a port. */
static bool read_client(const char *text, struct addr_peer *client)
{
    const char *why = NULL;
    struct addr at;
    memset(&at, 0, sizeof at);
    if (inet_pton(AF_INET, text, &at.in.sin_addr) == 1) {
        at.in.sin_family = AF_INET;
        at.len = sizeof at.in;
    } else if (inet_pton(AF_INET6, text, &at.in6.sin6_addr) == 1) {
        at.in6.sin6_family = AF_INET6;
        at.len = sizeof at.in6;
    } else if (strcmp(text, "unix:") == 0) {
        at.un.sun_family = AF_UNIX;
        at.len = sizeof at.un;
    } else if (addr_parse(&at, text, &why) < 0) {
        return false;
    }
    addr_peer_set(client, &at.sa, at.len);
    return true;
}

struct explain_context {
    const struct pool *pool;
    const struct server *chosen; /* NULL: none */
    bool backups;                /* only backups are usable */
    uint64_t now;
};

static const char *explain_reason(const struct explain_context *v, const struct server *srv,
                                  const struct server_view *view)
{
    int state = atomic_load_explicit(&srv->state, memory_order_relaxed);
    if (srv == v->chosen)
        return passive_check_is_out(srv) ? view->why : "";
    if (state == CONFIG_STATE_DRAIN)
        return "its state is drain";
    if (state == CONFIG_STATE_MAINT)
        return "its state is maint";
    if (!server_is_usable(srv, v->now))
        return view->why;
    if (server_is_full(srv))
        return "full";
    if (pool_is_backup(v->pool, srv) && !v->backups)
        return "a backup, and other servers are usable";
    if (v->chosen != NULL && server_has_fair_share(srv) && !server_has_fair_share(v->chosen))
        return "has its share of sessions, and the pool is being rebalanced";
    return policy_find(pool_conf(v->pool)->balance)->not_picked;
}

static void command_explain_put_servers(struct sheet *s, const struct runtime *rt,
                                        const struct explain_context *v)
{
    size_t count = 0;
    struct server *const *server = pool_servers(v->pool, &count);
    for (size_t i = 0; i < count; i++) {
        struct server_view view;
        char text[ADDR_TEXT_MAX];
        const struct server *srv = server[i];
        server_view(rt, v->pool, srv, &view);
        sheet_text(s, pool_name(v->pool));
        sheet_text(s, server_name(srv));
        sheet_text(s, addr_print(&srv->addr, text));
        sheet_bool(s, srv == v->chosen);
        sheet_text(s, explain_reason(v, srv, &view));
    }
}

static bool may_wait(const struct pool *p, enum pool_refusal refusal)
{
    return refusal != POOL_NO_SERVER && pool_waiting(p) < pool_conf(p)->max_queue;
}

static const char *waits_for(enum pool_refusal refusal)
{
    switch (refusal) {
    case POOL_PAUSED:
        return "the pool is paused: the client waits until it is resumed";
    case POOL_DOWN:
        return "the client waits until a server comes up";
    case POOL_FULL:
    case POOL_NO_SERVER:
        break;
    }
    return "the client waits until a server has room";
}

/* The row for a pool without a usable server: where the client goes. */
static void put_no_server(struct sheet *s, const struct pool *p, enum pool_refusal refusal)
{
    const struct pool *next = pool_fallback(p);
    bool waits = may_wait(p, refusal);
    sheet_text(s, pool_name(p));
    sheet_null(s);
    sheet_null(s);
    sheet_bool(s, waits);
    if (waits)
        sheet_text(s, waits_for(refusal));
    else
        sheet_text(s, next == NULL ? "no server and no fallback: the client is refused"
                                   : "the client goes to the fallback");
}

static void put_file(struct sheet *s, const struct pool *p)
{
    sheet_text(s, pool_name(p));
    sheet_null(s);
    sheet_null(s);
    sheet_bool(s, true);
    sheet_text(s, "the pool's answer is a file");
}

/* Returns whether the client stays in this pool. */
static bool explain_pool(struct sheet *s, const struct runtime *rt, struct pool *p,
                         const struct addr_peer *client)
{
    const struct config_pool *conf = pool_conf(p);
    enum pool_refusal refusal = POOL_NO_SERVER;
    if (pool_file(p) != NULL) {
        put_file(s, p);
        return true;
    }
    const struct pick_request ask = {
        .key = addr_peer_hash(client, conf->hash_key == CONFIG_HASH_SOURCE_PORT),
        .now = uv_now(rt->loop),
    };
    const struct server *chosen = pool_peek(p, &ask, &refusal);
    const struct explain_context v = {
        .pool = p,
        .chosen = chosen,
        .backups = chosen != NULL && pool_is_backup(p, chosen),
        .now = ask.now,
    };
    command_explain_put_servers(s, rt, &v);
    if (chosen == NULL)
        put_no_server(s, p, refusal);
    return chosen != NULL || may_wait(p, refusal);
}

static enum request_result command_explain_run(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "pool", SHEET_TEXT },    { "server", SHEET_TEXT }, { "server_name", SHEET_ALIAS },
        { "address", SHEET_TEXT }, { "chosen", SHEET_BOOL }, { "why", SHEET_TEXT },
    };
    struct addr_peer client;
    struct pool *p = server_view_find_pool(r, r->word[0]);
    if (p == NULL)
        return REQUEST_DONE;
    if (!read_client(r->word[1], &client))
        return request_fail(r,
                            "%s: expected the address of a client, as 10.0.0.7 or "
                            "10.0.0.7:51234",
                            r->word[1]);
    struct sheet *s = sheet_new(columns, sizeof columns / sizeof *columns);
    while (s != NULL && p != NULL && !explain_pool(s, r->rt, p, &client))
        p = pool_fallback(p);
    return request_table(r, s);
}

static const struct command commands[] = {
    { "explain", "POOL CLIENT-ADDRESS",
      "which server a client would get now, and why not the others", 2, 2, command_explain_run,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
};

const struct command_list command_explain = COMMAND_LIST(commands);
