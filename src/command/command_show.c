#include "command/command.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/log.h"
#include "base/node.h"
#include "build.h"
#include "command/server_view.h"
#include "config/keys.h"
#include "control/healthz.h"
#include "control/problems.h"
#include "control/tls_kernel_report.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

#define COLUMNS(list) list, sizeof(list) / sizeof *(list)

/* ---- info ---- */

static uint64_t log_dropped(void)
{
    uint64_t lines = 0;
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        lines += state.dropped;
    }
    return lines;
}

static void command_show_process(struct sheet *s, struct runtime *rt)
{
    uint64_t now = uv_now(rt->loop);
    sheet_text(s, PACKAGE_VERSION);
    sheet_text(s, node_name());
    sheet_number(s, (uint64_t)getpid());
    sheet_number(s, now > rt->began ? now - rt->began : 0);
    sheet_text(s, rt->file);
    sheet_number(s, rt->current->number);
    sheet_number(s, rt->reloads);
    sheet_number(s, rt->failed_reloads);
    sheet_text(s, healthz_name(healthz_of_process(rt)));
    sheet_text(s, health_override_words[rt->health_override]);
    sheet_bool(s, rt->leaving);
    if (rt->leaving)
        sheet_number(s, rt->leave_until > now ? rt->leave_until - now : 0);
    else
        sheet_null(s);
    sheet_bool(s, rt->draining);
    sheet_number(s, drains_count(&rt->drains));
    sheet_text(s, log_level_words[log_level()]);
    sheet_number(s, log_dropped());
}

static void command_show_paused(struct sheet *s, enum accept_reason reason)
{
    sheet_text(s, reason == ACCEPT_OPEN ? NULL : accept_reason_name(reason));
}

static void command_show_pipes(struct sheet *s, const struct runtime *rt)
{
    uint64_t used = 0;
    uint64_t idle = 0;
    for (size_t i = 0; i < workers_running(&rt->workers); i++) {
        struct worker_stats now;
        worker_stats(workers_at(&rt->workers, i), &now);
        used += now.pipes_used;
        idle += now.pipes_idle;
    }
    sheet_number(s, used);
    sheet_number(s, idle);
    sheet_number(s, rt->budget.pipes);
}

static void put_work(struct sheet *s, const struct runtime *rt)
{
    struct worker_totals sum;
    workers_totals(&rt->workers, &sum);
    sheet_number(s, rt->workers.active);
    sheet_number(s, rt->workers.finishing);
    sheet_number(s, conn_limit_used(&rt->conn_limit));
    sheet_number(s, rt->budget.sessions);
    command_show_paused(s, accept_watch_process(&rt->accept_watch));
    sheet_number(s, sum.sessions);
    command_show_pipes(s, rt);
    sheet_number(s, worker_totals_bytes(&sum, RELAY_SPLICE));
    sheet_number(s, worker_totals_bytes(&sum, RELAY_COPY));
    sheet_number(s, worker_totals_fallbacks(&sum));
    sheet_text(s, tls_kernel_report_where(runtime_conf(rt)));
    sheet_number(s, sum.tls_kernel);
    sheet_number(s, worker_totals_tls_user(&sum));
}

static enum request_result show_info(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "version", SHEET_TEXT },
        { "node", SHEET_TEXT },
        { "pid", SHEET_COUNT },
        { "uptime", SHEET_TIME },
        { "file", SHEET_TEXT },
        { "generation", SHEET_COUNT },
        { "configuration", SHEET_ALIAS },
        { "reloads", SHEET_COUNT },
        { "failed_reloads", SHEET_COUNT },
        { "health", SHEET_TEXT },
        { "health_set", SHEET_TEXT },
        { "leaving", SHEET_BOOL },
        { "leaving_left", SHEET_TIME },
        { "draining", SHEET_BOOL },
        { "servers_draining", SHEET_COUNT },
        { "log_level", SHEET_TEXT },
        { "log_dropped", SHEET_COUNT },
        { "workers", SHEET_COUNT },
        { "workers_finishing", SHEET_COUNT },
        { "sessions", SHEET_COUNT },
        { "sessions_limit", SHEET_COUNT },
        { "max_sessions", SHEET_ALIAS },
        { "paused", SHEET_TEXT },
        { "sessions_total", SHEET_COUNT },
        { "pipes_used", SHEET_COUNT },
        { "pipes_idle", SHEET_COUNT },
        { "max_pipes", SHEET_COUNT },
        { "spliced", SHEET_BYTES },
        { "copied", SHEET_BYTES },
        { "fallbacks", SHEET_COUNT },
        { "tls_kernel", SHEET_TEXT },
        { "tls_kernel_total", SHEET_COUNT },
        { "tls_user_total", SHEET_COUNT },
    };
    struct sheet *s = sheet_new(COLUMNS(columns));
    if (s == NULL)
        return request_fail_memory(r);
    command_show_process(s, r->rt);
    put_work(s, r->rt);
    return request_record(r, s);
}

/* ---- problems ---- */

static enum request_result show_problems(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "severity", SHEET_TEXT },
        { "subject", SHEET_TEXT },
        { "problem", SHEET_TEXT },
    };
    struct problem_list list;
    int rc = problems_list(r->rt, &list);
    struct sheet *s = rc < 0 ? NULL : sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < list.count; i++) {
        sheet_text(s, severity_name(list.problem[i].severity));
        sheet_text(s, list.problem[i].subject);
        sheet_text(s, list.problem[i].text);
    }
    problems_free(&list);
    return request_table(r, s);
}

/* ---- listeners ---- */

static void command_show_value(struct sheet *s, enum section_kind kind, const void *section,
                               const char *key)
{
    char *text = keys_to_string(&keys_sections[kind], section, key);
    sheet_text(s, text);
    free(text);
}

/* 0: no limit. */
static void put_limit(struct sheet *s, uint64_t limit)
{
    if (limit == 0)
        sheet_null(s);
    else
        sheet_number(s, limit);
}

static void command_show_listener(struct sheet *s, const struct frontend *frontend,
                                  enum healthz health)
{
    const struct listener_state *e = frontend->listener_state;
    uint64_t refused = 0;
    for (int i = 0; i < SESSION_ENDS; i++)
        refused += counter_get(&e->refused[i]);
    sheet_text(s, frontend->conf->name);
    command_show_value(s, SECTION_LISTEN, frontend->conf, "bind");
    sheet_text(s, pool_name(frontend->pool));
    sheet_number(s, conn_limit_used(&e->conn_limit));
    put_limit(s, frontend->conf->max_connections);
    sheet_number(s, counter_get(&e->connections));
    sheet_number(s, refused);
    command_show_paused(s, accept_watch_reason(e));
    sheet_text(s, healthz_name(health));
    sheet_text(s, health_override_words[e->health_override]);
}

static enum request_result show_listeners(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "listener", SHEET_TEXT },
        { "bind", SHEET_TEXT },
        { "pool", SHEET_TEXT },
        { "active", SHEET_COUNT },
        { "sessions_limit", SHEET_COUNT },
        { "max_connections", SHEET_ALIAS },
        { "connections", SHEET_COUNT },
        { "refused", SHEET_COUNT },
        { "paused", SHEET_TEXT },
        { "health", SHEET_TEXT },
        { "health_set", SHEET_TEXT },
    };
    const struct generation *g = r->rt->current;
    enum healthz *health = healthz_of_listeners(r->rt);
    struct sheet *s = health == NULL ? NULL : sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < g->conf->listen_count; i++)
        command_show_listener(s, &g->frontend[i], health[i]);
    free(health);
    return request_table(r, s);
}

/* ---- pools ---- */

static void command_show_table(struct sheet *s, const struct pool *p)
{
    const struct table table = pool_table(p);
    char text[TABLE_TEXT_SIZE];
    if (pool_file(p) != NULL) {
        sheet_null(s);
        sheet_null(s);
        return;
    }
    sheet_text(s, table_print(table.all, text));
    sheet_text(s, table_print(table_now(&table), text));
}

#define REBALANCE_SHEET                                                    \
    { "rebalance", SHEET_TEXT }, { "rebalance_closed", SHEET_JSON_COUNT }, \
        { "rebalance_left", SHEET_JSON_COUNT },                            \
    {                                                                      \
        "rebalance_left", SHEET_JSON_TIME                                  \
    }
#define REBALANCE_COLUMNS 4

/* The progress of a rebalance; without one there are no values. */
static void command_show_rebalance(struct sheet *s, const struct rebalances *rs,
                                   const struct pool *p)
{
    struct rebalance_progress c;
    char left_text[HUMAN_MAX];
    char waits[64] = "";
    char text[160];
    uint64_t left = 0;
    if (!rebalances_progress(rs, p, &c, &left)) {
        for (int i = 0; i < REBALANCE_COLUMNS; i++)
            sheet_null(s);
        return;
    }
    if (c.absent > 0)
        snprintf(waits, sizeof waits, ", waits for %s", human_count(c.absent, "server", left_text));
    if (c.counted == 0)
        snprintf(text, sizeof text, "counting%s", waits);
    else
        snprintf(text, sizeof text, "%" PRIu64 " closed, %" PRIu64 " left%s%s%s", c.closed,
                 c.to_move, left > 0 ? " over " : "", left > 0 ? human_time(left, left_text) : "",
                 waits);
    sheet_text(s, text);
    sheet_number(s, c.closed);
    sheet_number(s, c.to_move);
    sheet_number(s, left);
}

static void command_show_pool(struct sheet *s, const struct runtime *rt, const struct pool *p)
{
    uint64_t now = uv_now(rt->loop);
    const struct config_pool *conf = pool_conf(p);
    const struct pool *fallback = pool_fallback(p);
    size_t count = 0;
    uint64_t usable = 0;
    uint64_t connections = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++) {
        usable += server_is_usable(server[i], now);
        connections += counter_get(&server[i]->counter[SERVER_CONNECTIONS]);
    }
    sheet_text(s, pool_name(p));
    if (conf->file != NULL)
        sheet_text(s, "file");
    else
        command_show_value(s, SECTION_POOL, conf, "balance");
    sheet_number(s, count);
    sheet_number(s, usable);
    sheet_number(s, pool_sessions(p));
    sheet_number(s, pool_waiting(p));
    put_limit(s, conf->max_queue);
    sheet_bool(s, pool_is_paused(p));
    sheet_number(s, connections);
    sheet_text(s, fallback == NULL ? NULL : pool_name(fallback));
    command_show_table(s, p);
    command_show_rebalance(s, &rt->rebalances, p);
}

static enum request_result show_pools(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "pool", SHEET_TEXT },      { "balance", SHEET_TEXT },
        { "servers", SHEET_COUNT },  { "usable", SHEET_COUNT },
        { "active", SHEET_COUNT },   { "queued", SHEET_COUNT },
        { "waiting", SHEET_ALIAS },  { "max_queue", SHEET_COUNT },
        { "paused", SHEET_BOOL },    { "connections", SHEET_COUNT },
        { "fallback", SHEET_TEXT },  { "table", SHEET_TEXT },
        { "table_now", SHEET_TEXT }, REBALANCE_SHEET,
    };
    const struct config *conf = runtime_conf(r->rt);
    struct sheet *s = sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < conf->pool_count; i++)
        command_show_pool(s, r->rt, pools_find(&r->rt->pools, conf->pool[i].name));
    return request_table(r, s);
}

/* ---- servers ---- */

/* Without balance = least_time, or before the first connect, the column is empty. */
static void command_show_connect_time(struct sheet *s, const struct pool *p,
                                      const struct server *srv)
{
    uint64_t us = pool_connect_time(p, srv);
    if (us == 0)
        sheet_null(s);
    else
        sheet_number(s, us);
}

static void command_show_server(struct sheet *s, const struct runtime *rt, const struct pool *p,
                                const struct server *srv)
{
    struct server_view view;
    char address[ADDR_TEXT_MAX];
    server_view(rt, p, srv, &view);
    server_view_put(s, pool_name(p), server_name(srv));
    sheet_text(s, addr_print(&srv->addr, address));
    sheet_text(s, config_state_words[atomic_load_explicit(&srv->state, memory_order_relaxed)]);
    sheet_text(s, view.status);
    sheet_number(s, server_weight(srv));
    sheet_bool(s, pool_is_backup(p, srv));
    sheet_number(s, server_active(srv));
    put_limit(s, atomic_load_explicit(&srv->max_connections, memory_order_relaxed));
    sheet_number(s, counter_get(&srv->counter[SERVER_CONNECTIONS]));
    sheet_number(s, counter_get(&srv->counter[SERVER_FAILURES]));
    sheet_number(s, counter_get(&srv->counter[SERVER_SENT]));
    sheet_number(s, counter_get(&srv->counter[SERVER_RECEIVED]));
    command_show_connect_time(s, p, srv);
    sheet_text(s, view.why);
}

static void command_show_servers(struct sheet *s, const struct runtime *rt, const struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        command_show_server(s, rt, p, server[i]);
}

static enum request_result show_servers(struct request *r)
{
    static const struct sheet_column columns[] = {
        SERVER_COLUMNS,
        { "address", SHEET_TEXT },
        { "state", SHEET_TEXT },
        { "status", SHEET_TEXT },
        { "weight", SHEET_COUNT },
        { "backup", SHEET_BOOL },
        { "active", SHEET_COUNT },
        { "sessions_limit", SHEET_COUNT },
        { "max_connections", SHEET_ALIAS },
        { "connections", SHEET_COUNT },
        { "connect_failures", SHEET_COUNT },
        { "failures", SHEET_ALIAS },
        { "sent", SHEET_BYTES },
        { "received", SHEET_BYTES },
        { "connect", SHEET_MICROS },
        { "why", SHEET_TEXT },
    };
    const struct runtime *rt = r->rt;
    const struct config *conf = runtime_conf(rt);
    const struct pool *only = r->count == 0 ? NULL : server_view_find_pool(r, r->word[0]);
    if (r->count > 0 && only == NULL)
        return REQUEST_DONE;
    struct sheet *s = sheet_new(COLUMNS(columns));
    for (size_t i = 0; s != NULL && i < conf->pool_count; i++) {
        const struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        if (only == NULL || p == only)
            command_show_servers(s, rt, p);
    }
    return request_table(r, s);
}

/* ---- names ---- */

struct names_sheet {
    struct sheet *sheet;
    uint64_t now;
};

static const char *name_status(const struct resolver_state *state)
{
    if (state->held_until != 0)
        return "held";
    if (state->error != NULL)
        return state->addresses > 0 ? "failed" : "empty";
    return state->answered == 0 ? "pending" : "resolved";
}

/* The time from now to `when`; 0: none. */
static void put_until(struct sheet *s, uint64_t when, uint64_t now)
{
    if (when == 0)
        sheet_null(s);
    else
        sheet_number(s, when > now ? when - now : 0);
}

static void command_show_name(void *arg, const struct resolver_state *state)
{
    const struct names_sheet *n = arg;
    sheet_text(n->sheet, state->host);
    sheet_text(n->sheet, state->service ? "SRV" : "A, AAAA");
    sheet_text(n->sheet, pool_name(state->pool));
    sheet_text(n->sheet, state->server);
    sheet_text(n->sheet, name_status(state));
    sheet_number(n->sheet, state->addresses);
    if (state->answered == 0)
        sheet_null(n->sheet);
    else
        sheet_number(n->sheet, n->now - state->answered);
    put_until(n->sheet, state->next, n->now);
    put_until(n->sheet, state->held_until, n->now);
    sheet_text(n->sheet, state->error);
}

static enum request_result show_names(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "name", SHEET_TEXT },       { "type", SHEET_TEXT },         { "pool", SHEET_TEXT },
        { "server", SHEET_TEXT },     { "server_name", SHEET_ALIAS }, { "status", SHEET_TEXT },
        { "addresses", SHEET_COUNT }, { "answered", SHEET_TIME },     { "next", SHEET_TIME },
        { "held", SHEET_TIME },       { "error", SHEET_TEXT },
    };
    struct names_sheet n = { sheet_new(COLUMNS(columns)), uv_now(r->rt->loop) };
    if (n.sheet != NULL)
        names_each(&r->rt->names, command_show_name, &n);
    return request_table(r, n.sheet);
}

/* ---- certificates ---- */

static const char *certificate_status(const struct certificate_info *c, time_t now)
{
    return now >= c->not_after ? "expired" : now < c->not_before ? "not yet" : "valid";
}

/* The time that is left; none if it has expired. */
static void put_rest(struct sheet *s, time_t until, time_t now)
{
    if (until <= now)
        sheet_null(s);
    else
        sheet_number(s, (uint64_t)(until - now) * 1000);
}

static void put_date(struct sheet *s, time_t at)
{
    char text[32];
    struct tm tm;
    gmtime_r(&at, &tm);
    strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    sheet_text(s, text);
}

/* listener or pool is NULL. */
static void put_certificate(struct sheet *s, const char *listener, const char *pool,
                            const struct certificate_info *c)
{
    time_t now = time(NULL);
    sheet_text(s, listener);
    sheet_text(s, pool);
    sheet_text(s, c->names);
    sheet_text(s, c->type);
    sheet_text(s, certificate_status(c, now));
    put_rest(s, c->not_after, now);
    put_date(s, c->not_after);
    if (listener == NULL)
        sheet_null(s);
    else
        sheet_number(s, c->used);
    sheet_text(s, c->file);
}

static void put_certificates(struct sheet *s, const struct config *conf)
{
    struct certificate_info c;
    for (size_t i = 0; i < conf->listen_count; i++)
        for (size_t j = 0; j < tls_server_context_count(conf->listen[i].tls_context); j++) {
            tls_server_context_certificate(conf->listen[i].tls_context, j, &c);
            put_certificate(s, conf->listen[i].name, NULL, &c);
        }
    for (size_t i = 0; i < conf->pool_count; i++)
        if (tls_client_context_certificate(conf->pool[i].tls_context, &c))
            put_certificate(s, NULL, conf->pool[i].name, &c);
}

static enum request_result show_certificates(struct request *r)
{
    static const struct sheet_column columns[] = {
        { "listener", SHEET_TEXT }, { "pool", SHEET_TEXT },   { "names", SHEET_TEXT },
        { "type", SHEET_TEXT },     { "status", SHEET_TEXT }, { "left", SHEET_TIME },
        { "until", SHEET_TEXT },    { "used", SHEET_COUNT },  { "file", SHEET_TEXT },
    };
    struct sheet *s = sheet_new(columns, sizeof columns / sizeof *columns);
    if (s != NULL)
        put_certificates(s, runtime_conf(r->rt));
    return request_table(r, s);
}

/* ---- configuration ---- */

static enum request_result show_config(struct request *r)
{
    config_print(runtime_conf(r->rt), r->out);
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "show info", "", "version, limits and totals of the process", 0, 0, show_info,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show problems", "", "what is wrong now, such as servers, listeners, the last reload", 0, 0,
      show_problems, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show listeners", "", "listeners: addresses, sessions, refused clients", 0, 0, show_listeners,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show pools", "", "pools: usable servers, sessions, queue", 0, 0, show_pools,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show servers", "[POOL]", "servers: state, sessions, bytes, and why one is down", 0, 1,
      show_servers, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show names", "", "names in server lines: addresses, and when they are resolved again", 0, 0,
      show_names, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show certificates", "", "certificates of listeners: names, until when, how often used", 0, 0,
      show_certificates, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "show config", "", "the configuration in force, with all defaults", 0, 0, show_config,
      COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
};

const struct command_list command_show = COMMAND_LIST(commands);
