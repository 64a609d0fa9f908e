#include "command/command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "base/value.h"
#include "command/server_view.h"
#include "config/value_kinds.h"
#include "control/cycles.h"

/* The fields of all events about a server; server_addr is the older name of address. */
static void command_server_begin_line(struct log_line *line, enum log_level level,
                                      const char *event, const char *pool, const char *server,
                                      const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    log_begin(line, level, event);
    log_str(line, "pool", pool);
    log_str(line, "server", server);
    log_str(line, "address", addr_print(addr, text));
    log_str(line, "server_addr", text);
}

/* Adds the change to the answer and logs it. */
static void report_changed(struct request *r, const struct pool *p, const struct server *srv,
                           const char *what, const char *from, const char *to)
{
    struct log_line line;
    request_print(r, "%s/%s: %s %s, was %s", pool_name(p), server_name(srv), what, to, from);
    request_changed(r, strcmp(from, to) != 0);
    if (!log_is_enabled(LOG_LEVEL_NOTICE) || strcmp(from, to) == 0)
        return;
    command_server_begin_line(&line, LOG_LEVEL_NOTICE, "server_set", pool_name(p), server_name(srv),
                              &srv->addr);
    log_str(&line, "what", what);
    log_str(&line, "from", from);
    log_str(&line, "to", to);
    log_end(&line);
}

static void log_server_event(enum log_level level, const char *event, const struct pool *p,
                             const char *server, const struct addr *addr)
{
    struct log_line line;
    if (!log_is_enabled(level))
        return;
    command_server_begin_line(&line, level, event, pool_name(p), server, addr);
    log_end(&line);
}

/* ---- set server ---- */

static void set_state(struct request *r, struct pool *p, struct server *srv,
                      enum config_state state)
{
    enum config_state before =
        (enum config_state)atomic_load_explicit(&srv->state, memory_order_relaxed);
    request_changed(r, drains_cancel(&r->rt->drains, srv));
    pool_set_state(p, srv, state, uv_now(r->rt->loop));
    report_changed(r, p, srv, "state", config_state_words[before], config_state_words[state]);
}

static void set_weight(struct request *r, struct pool *p, struct server *srv, uint64_t weight)
{
    char from[24];
    char to[24];
    snprintf(from, sizeof from, "%u", server_weight(srv));
    snprintf(to, sizeof to, "%" PRIu64, weight);
    pool_set_weight(p, srv, (unsigned)weight, uv_now(r->rt->loop));
    report_changed(r, p, srv, "weight", from, to);
}

/* Parses the third word of "POOL/SERVER state|weight WORD". */
static bool read_value(struct request *r, bool is_state, uint64_t *number)
{
    static const struct value state = VALUE_CHOICE(config_state_words);
    static const struct value weight = VALUE_COUNT(1, 256, NULL);
    struct value_error error;
    enum config_state chosen = CONFIG_STATE_READY;
    int rc = is_state ? value_parse(&state, &chosen, r->word[2], &error)
                      : value_parse(&weight, number, r->word[2], &error);
    if (rc < 0)
        request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    else if (is_state)
        *number = chosen;
    return rc == 0;
}

static enum request_result command_set_server(struct request *r)
{
    struct server_matches matches;
    uint64_t number = 0;
    bool is_state = strcmp(r->word[1], "state") == 0;
    if (!is_state && strcmp(r->word[1], "weight") != 0)
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown, expected state or weight",
                               r->word[1]);
    if (!read_value(r, is_state, &number) || !server_view_find(r, r->word[0], &matches))
        return REQUEST_DONE;
    for (size_t i = 0; i < matches.count; i++) {
        if (is_state)
            set_state(r, matches.pool, matches.server[i], (enum config_state)number);
        else
            set_weight(r, matches.pool, matches.server[i], number);
    }
    server_matches_free(&matches);
    return REQUEST_DONE;
}

/* ---- drain ---- */

/* Whether a drain over the same time is running. Then answers with its progress: a repeated command
 * must not start the drain again. */
static bool is_drained_over(struct request *r, const struct pool *p, const struct server *srv,
                            uint64_t over)
{
    struct drain_progress progress;
    char text[HUMAN_MAX];
    char sessions[HUMAN_MAX];
    uint64_t left = 0;
    if (!drains_progress(&r->rt->drains, srv, &progress, &left) || progress.length != over)
        return false;
    request_print(r, "%s/%s: is being drained, %" PRIu64 " of %s left, %s to go", pool_name(p),
                  server_name(srv), server_active(srv),
                  human_count(progress.sessions, "session", sessions), human_time(left, text));
    request_changed(r, false);
    return true;
}

static void drain_one(struct request *r, struct pool *p, struct server *srv, uint64_t over)
{
    struct log_line line;
    char text[HUMAN_MAX];
    char sessions[HUMAN_MAX];
    if (over != 0 && is_drained_over(r, p, srv, over))
        return;
    set_state(r, p, srv, CONFIG_STATE_DRAIN);
    if (over == 0)
        return;
    request_changed(r, server_active(srv) > 0);
    if (drains_start(&r->rt->drains, p, srv, over) < 0) {
        request_fail_memory(r);
        return;
    }
    request_print(r, "%s/%s: closing %s over %s", pool_name(p), server_name(srv),
                  human_count(server_active(srv), "session", sessions), human_time(over, text));
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    command_server_begin_line(&line, LOG_LEVEL_NOTICE, "server_set", pool_name(p), server_name(srv),
                              &srv->addr);
    log_str(&line, "what", "sessions");
    log_uint(&line, "from", server_active(srv));
    log_uint(&line, "to", 0);
    log_uint(&line, "over_ms", over);
    log_end(&line);
}

static enum request_result command_drain(struct request *r)
{
    static const struct value time = VALUE_DURATION(1, 365 * VALUE_DAY, NULL);
    struct server_matches matches;
    struct value_error error;
    uint64_t over = 0;
    if (r->count == 2 || (r->count == 3 && strcmp(r->word[1], "over") != 0))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown, expected over TIME", r->word[1]);
    if (r->count == 3 && value_parse(&time, &over, r->word[2], &error) < 0)
        return request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    if (!server_view_find(r, r->word[0], &matches))
        return REQUEST_DONE;
    for (size_t i = 0; i < matches.count; i++)
        drain_one(r, matches.pool, matches.server[i], over);
    server_matches_free(&matches);
    return REQUEST_DONE;
}

/* ---- add and del ---- */

/* Joins the words from the second on to the value of a server line. NULL: out of memory. */
static char *join_words(const struct request *r)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (out == NULL)
        return NULL;
    for (size_t i = 1; i < r->count; i++)
        fprintf(out, "%s%s", i == 1 ? "" : " ", r->word[i]);
    fclose(out);
    return text;
}

/* Whether the pool has this server with the options of line. Compared are the options that it was
 * added or configured with, not its present state and weight. */
static bool has_line(const struct pool *p, const struct config_server *line)
{
    static const struct value kind = { .kind = &value_kind_server };
    const struct config_server *present = pool_find_line(p, line->name, &line->addr);
    if (present == NULL)
        return false;
    char *is = value_to_string(&kind, present);
    char *wanted = value_to_string(&kind, line);
    bool same = is != NULL && wanted != NULL && strcmp(is, wanted) == 0;
    free(is);
    free(wanted);
    return same;
}

/* As for the servers of the configuration (config/check_keys.c). */
static bool lacks_name(const struct pool *p, const struct config_server *line)
{
    const struct config_pool *conf = pool_conf(p);
    return config_pool_has_tls(conf) && conf->tls_verify && conf->tls_name == NULL &&
           addr_is_unix(&line->addr);
}

static enum request_result command_server_add_line(struct request *r, struct pool *p,
                                                   const struct config_server *line)
{
    if (line->host != NULL)
        return request_fail_as(r, REQUEST_USAGE,
                               "%s: names are resolved for servers of the configuration only, "
                               "expected an address",
                               r->word[1]);
    if (lacks_name(p, line))
        return request_fail(r,
                            "%s: has no name that its certificate could be for, expected tls_name "
                            "or tls_verify = no in pool %s",
                            r->word[1], pool_name(p));
    if (cycles_would_form(runtime_conf(r->rt), &r->rt->pools, p, &line->addr, line->same_port))
        return request_fail(r,
                            "%s: a loop: zproxy itself listens there and sends clients to pool %s",
                            r->word[1], pool_name(p));
    switch (pool_add_server(p, line)) {
    case 0:
        break;
    case -EEXIST:
        if (has_line(p, line)) {
            request_print(r, "%s/%s: is there already", pool_name(p), line->name);
            request_changed(r, false);
            return REQUEST_DONE;
        }
        return request_fail(r, "pool %s has a server of this name or address", pool_name(p));
    case -EINVAL:
        return request_fail(r, "pool %s answers with a file, it has no servers", pool_name(p));
    default:
        return request_fail_memory(r);
    }
    request_print(r, "%s/%s: added", pool_name(p), line->name);
    request_changed(r, true);
    log_server_event(LOG_LEVEL_NOTICE, "server_added", p, line->name, &line->addr);
    return REQUEST_DONE;
}

static enum request_result add_server(struct request *r)
{
    static const struct value kind = { .kind = &value_kind_server };
    struct config_server line;
    struct value_error error;
    struct pool *p = server_view_find_pool(r, r->word[0]);
    if (p == NULL)
        return REQUEST_DONE;
    char *text = join_words(r);
    int rc = text == NULL ? -ENOMEM : value_parse(&kind, &line, text, &error);
    free(text);
    if (rc < 0)
        return rc == -EINVAL ? request_fail_as(r, REQUEST_USAGE, "%s", error.text)
                             : request_fail_memory(r);
    command_server_add_line(r, p, &line);
    value_free(&kind, &line);
    return REQUEST_DONE;
}

static void del_one(struct request *r, struct pool *p, struct server *srv)
{
    char *name = strdup(server_name(srv));
    const struct addr addr = srv->addr;
    int rc = name == NULL ? -ENOMEM : pool_del_server(p, srv);
    if (rc == -ENOENT) {
        request_fail(r,
                     "%s/%s: it is in the configuration, expected one that was added at run time; "
                     "set its state to maint, or remove it from the configuration and reload",
                     pool_name(p), name);
    } else if (rc < 0) {
        request_fail_memory(r);
    } else {
        request_print(r, "%s/%s: removed; its sessions continue", pool_name(p), name);
        request_changed(r, true);
        log_server_event(LOG_LEVEL_NOTICE, "server_removed", p, name, &addr);
    }
    free(name);
}

static enum request_result del_server(struct request *r)
{
    struct server_matches matches;
    if (!server_view_look_up(r, r->word[0], &matches))
        return REQUEST_DONE;
    if (matches.count == 0) {
        request_print(r, "%s: is not there", r->word[0]);
        request_changed(r, false);
    } else {
        drains_cancel(&r->rt->drains, matches.server[0]);
        del_one(r, matches.pool,
                matches.server[0]); /* the only match: names of added servers are unique */
    }
    server_matches_free(&matches);
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "set server", "POOL/SERVER state|weight VALUE",
      "set the state: ready, or drain or maint (no new sessions); or the weight: 1 to 256", 3, 3,
      command_set_server, COMMAND_SUGGEST_GROUP, COMMAND_CHANGES },
    { "drain", "POOL/SERVER [over TIME]",
      "set the state drain; with TIME, close its sessions at an even rate, idle ones first", 1, 3,
      command_drain, COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
    { "add server", "POOL ADDRESS [OPTION...]",
      "add a server; ADDRESS and OPTIONs are those of a server line", 2, REQUEST_WORDS_MAX,
      add_server, COMMAND_SUGGEST_GROUP, COMMAND_CHANGES },
    { "del server", "POOL/SERVER", "remove a server that was added; its sessions continue", 1, 1,
      del_server, COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
};

const struct command_list command_server = COMMAND_LIST(commands);
