#include "command/command_explain.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "balance/passive.h"
#include "command/server_view.h"

/* A client's address, with a port or without. */
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

/* Of one that could be had, why it is not the one. */
static const char *not_chosen(enum config_balance balance)
{
    switch (balance) {
    case CONFIG_BALANCE_ROUND_ROBIN:
        return "not its turn";
    case CONFIG_BALANCE_LEAST_CONN:
        return "more sessions for its weight, or not its turn";
    case CONFIG_BALANCE_RANDOM:
        return "not drawn this time";
    case CONFIG_BALANCE_HASH:
        return "comes later in the order of this client";
    case CONFIG_BALANCE_FIRST:
        return "comes later in the file";
    }
    return "";
}

struct verdict_of {
    const struct pool *pool;
    const struct backend *chosen; /* NULL: none */
    bool backups;                 /* no other can be had */
    uint64_t now;
};

static const char *judge(const struct verdict_of *v, const struct backend *b,
                         const struct server_view *view)
{
    int state = atomic_load(&b->state);
    if (b == v->chosen)
        return passive_is_out(b) ? "it is tried again, though connects failed" : "";
    if (state == CONFIG_STATE_DRAIN)
        return "its state is drain";
    if (state == CONFIG_STATE_MAINT)
        return "its state is maint";
    if (!backend_is_usable(b, v->now))
        return view->why;
    if (backend_is_full(b))
        return "full";
    if (pool_is_backup(v->pool, b) && !v->backups)
        return "a backup: others can be had";
    return not_chosen(pool_conf(v->pool)->balance);
}

static void put_servers(struct sheet *s, const struct runtime *rt, const struct verdict_of *v)
{
    size_t count = 0;
    struct backend *const *server = pool_servers(v->pool, &count);
    for (size_t i = 0; i < count; i++) {
        struct server_view view;
        char text[ADDR_TEXT_MAX];
        const struct backend *b = server[i];
        server_view(rt, v->pool, b, &view);
        sheet_text(s, pool_name(v->pool));
        sheet_text(s, backend_name(b));
        sheet_text(s, addr_print(&b->addr, text));
        sheet_flag(s, b == v->chosen);
        sheet_text(s, judge(v, b, &view));
    }
}

/* What becomes of the client where no server can be had. */
static void put_lack(struct sheet *s, const struct pool *p, enum pool_lack lack)
{
    const struct pool *next = pool_fallback(p);
    bool waits = lack == POOL_FULL && pool_waiting(p) < pool_conf(p)->max_queue;
    sheet_text(s, pool_name(p));
    sheet_none(s);
    sheet_none(s);
    sheet_flag(s, waits);
    if (waits)
        sheet_text(s, "it waits until a server has room");
    else
        sheet_text(s, next == NULL ? "nobody is left: it is refused" : "on to the fallback");
}

static void put_file(struct sheet *s, const struct pool *p)
{
    sheet_text(s, pool_name(p));
    sheet_none(s);
    sheet_none(s);
    sheet_flag(s, true);
    sheet_text(s, "the pool's answer is a file");
}

/* Returns whether the client stays in this pool. */
static bool explain_pool(struct sheet *s, const struct runtime *rt, struct pool *p,
                         const struct addr_peer *client)
{
    const struct config_pool *conf = pool_conf(p);
    enum pool_lack lack = POOL_NONE;
    if (pool_file(p) != NULL) {
        put_file(s, p);
        return true;
    }
    const struct pool_request ask = {
        .key = addr_peer_hash(client, conf->hash_key == CONFIG_HASH_SOURCE_PORT),
        .now = uv_now(rt->loop),
    };
    const struct backend *chosen = pool_foresee(p, &ask, &lack);
    const struct verdict_of v = {
        .pool = p,
        .chosen = chosen,
        .backups = chosen != NULL && pool_is_backup(p, chosen),
        .now = ask.now,
    };
    put_servers(s, rt, &v);
    if (chosen == NULL)
        put_lack(s, p, lack);
    return chosen != NULL || (lack == POOL_FULL && pool_waiting(p) < conf->max_queue);
}

static enum request_result explain(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "pool", SHEET_TEXT },    { "server", SHEET_TEXT }, { "server_name", SHEET_ALIAS },
        { "address", SHEET_TEXT }, { "chosen", SHEET_FLAG }, { "why", SHEET_TEXT },
    };
    char *why = NULL;
    struct addr_peer client;
    struct pool *p = server_choose_pool(r->rt, r->word[0], &why);
    if (p == NULL) {
        request_fail(r, "%s", why == NULL ? "out of memory" : why);
        free(why);
        return REQUEST_DONE;
    }
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
      "which server a client would get just now, and why not the others", 2, 2, explain },
};

const struct command_list command_explain = { commands, sizeof commands / sizeof *commands };
