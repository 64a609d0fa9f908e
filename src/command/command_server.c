#include "command/command_server.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/log.h"
#include "base/value.h"
#include "command/server_view.h"
#include "config/nearest.h"
#include "config/server.h"
#include "control/circles.h"

/* ---- which one ---- */

static bool choose(struct request *r, const char *text, struct server_choice *choice)
{
    char *why = NULL;
    if (server_choose(r->rt, text, choice, &why) == 0)
        return true;
    request_fail(r, "%s", why == NULL ? "out of memory" : why);
    free(why);
    return false;
}

/* What all lines about a server have; server_addr is the older name of address. */
static void begin_line(struct log_line *line, enum log_level level, const char *event,
                       const char *pool, const char *server, const struct addr *addr)
{
    char text[ADDR_TEXT_MAX];
    log_begin(line, level, event);
    log_str(line, "pool", pool);
    log_str(line, "server", server);
    log_str(line, "address", addr_print(addr, text));
    log_str(line, "server_addr", text);
}

/* Tells the client and the log. */
static void say_changed(struct request *r, const struct pool *p, const struct backend *b,
                        const char *what, const char *from, const char *to)
{
    struct log_line line;
    request_say(r, "%s/%s: %s %s, was %s", pool_name(p), backend_name(b), what, to, from);
    if (!log_wanted(LOG_LEVEL_NOTICE) || strcmp(from, to) == 0)
        return;
    begin_line(&line, LOG_LEVEL_NOTICE, "server_set", pool_name(p), backend_name(b), &b->addr);
    log_str(&line, "what", what);
    log_str(&line, "from", from);
    log_str(&line, "to", to);
    log_end(&line);
}

static void say_there(enum log_level level, const char *event, const struct pool *p,
                      const char *server, const struct addr *addr)
{
    struct log_line line;
    if (!log_wanted(level))
        return;
    begin_line(&line, level, event, pool_name(p), server, addr);
    log_end(&line);
}

/* ---- set server ---- */

static void set_state(struct request *r, struct pool *p, struct backend *b, enum config_state state)
{
    enum config_state before = (enum config_state)atomic_load(&b->state);
    drains_cancel(&r->rt->drains, b);
    pool_set_state(p, b, state, uv_now(r->rt->loop));
    say_changed(r, p, b, "state", server_view_states[before], server_view_states[state]);
}

static void set_weight(struct request *r, struct pool *p, struct backend *b, uint64_t weight)
{
    char from[24];
    char to[24];
    snprintf(from, sizeof from, "%u", backend_weight(b));
    snprintf(to, sizeof to, "%" PRIu64, weight);
    pool_set_weight(p, b, (unsigned)weight, uv_now(r->rt->loop));
    say_changed(r, p, b, "weight", from, to);
}

/* Reads the third word of "POOL/SERVER state WORD". */
static bool read_value(struct request *r, bool is_state, uint64_t *number)
{
    static const struct value state = VALUE_CHOICE(server_view_states);
    static const struct value weight = VALUE_COUNT(1, 256, NULL);
    struct value_error error;
    enum config_state chosen = CONFIG_STATE_READY;
    int rc = is_state ? value_parse(&state, &chosen, r->word[2], &error)
                      : value_parse(&weight, number, r->word[2], &error);
    if (rc < 0)
        request_fail(r, "%s", error.text);
    else if (is_state)
        *number = chosen;
    return rc == 0;
}

static enum request_result set_server(struct request *r)
{
    struct server_choice choice;
    uint64_t number = 0;
    bool is_state = strcmp(r->word[1], "state") == 0;
    if (!is_state && strcmp(r->word[1], "weight") != 0)
        return request_fail(r, "%s: unknown, expected state or weight", r->word[1]);
    if (!read_value(r, is_state, &number) || !choose(r, r->word[0], &choice))
        return REQUEST_DONE;
    for (size_t i = 0; i < choice.count; i++) {
        if (is_state)
            set_state(r, choice.pool, choice.server[i], (enum config_state)number);
        else
            set_weight(r, choice.pool, choice.server[i], number);
    }
    server_choice_free(&choice);
    return REQUEST_DONE;
}

/* ---- drain ---- */

static void drain_one(struct request *r, struct pool *p, struct backend *b, uint64_t over)
{
    struct log_line line;
    char text[HUMAN_MAX];
    set_state(r, p, b, CONFIG_STATE_DRAIN);
    if (over == 0)
        return;
    if (drains_begin(&r->rt->drains, p, b, over) < 0) {
        request_fail_memory(r);
        return;
    }
    request_say(r, "%s/%s: closing %" PRIu64 " sessions over %s", pool_name(p), backend_name(b),
                backend_active(b), human_time(over, text));
    if (!log_wanted(LOG_LEVEL_NOTICE))
        return;
    begin_line(&line, LOG_LEVEL_NOTICE, "server_set", pool_name(p), backend_name(b), &b->addr);
    log_str(&line, "what", "sessions");
    log_uint(&line, "from", backend_active(b));
    log_uint(&line, "to", 0);
    log_uint(&line, "over_ms", over);
    log_end(&line);
}

static enum request_result drain(struct request *r)
{
    static const struct value time = VALUE_DURATION(1, 365 * VALUE_DAY, NULL);
    struct server_choice choice;
    struct value_error error;
    uint64_t over = 0;
    if (r->count == 2 || (r->count == 3 && strcmp(r->word[1], "over") != 0))
        return request_fail(r, "%s: unknown, expected over TIME", r->word[1]);
    if (r->count == 3 && value_parse(&time, &over, r->word[2], &error) < 0)
        return request_fail(r, "%s", error.text);
    if (!choose(r, r->word[0], &choice))
        return REQUEST_DONE;
    for (size_t i = 0; i < choice.count; i++)
        drain_one(r, choice.pool, choice.server[i], over);
    server_choice_free(&choice);
    return REQUEST_DONE;
}

/* ---- add and del ---- */

/* The words from the second on, as the configuration would have them after "server =". */
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

static enum request_result add_line(struct request *r, struct pool *p,
                                    const struct config_server *line)
{
    if (line->host != NULL)
        return request_fail(r,
                            "%s: names are resolved for servers of the configuration only, "
                            "expected an address",
                            r->word[1]);
    if (circles_would_close(runtime_conf(r->rt), &r->rt->pools, p, &line->addr, line->same_port))
        return request_fail(r, "%s: a loop: zproxy listens there itself, and leads back to pool %s",
                            r->word[1], pool_name(p));
    switch (pool_add_server(p, line)) {
    case 0:
        break;
    case -EEXIST:
        return request_fail(r, "pool %s has a server of this name or address", pool_name(p));
    case -EINVAL:
        return request_fail(r, "pool %s answers with a file, it has no servers", pool_name(p));
    default:
        return request_fail_memory(r);
    }
    request_say(r, "%s/%s: added", pool_name(p), line->name);
    say_there(LOG_LEVEL_NOTICE, "server_added", p, line->name, &line->addr);
    return REQUEST_DONE;
}

static enum request_result add_server(struct request *r)
{
    static const struct value kind = { .kind = &server_kind };
    struct config_server line;
    struct value_error error;
    char *why = NULL;
    struct pool *p = server_choose_pool(r->rt, r->word[0], &why);
    if (p == NULL) {
        request_fail(r, "%s", why == NULL ? "out of memory" : why);
        free(why);
        return REQUEST_DONE;
    }
    char *text = join_words(r);
    int rc = text == NULL ? -ENOMEM : value_parse(&kind, &line, text, &error);
    free(text);
    if (rc < 0)
        return rc == -EINVAL ? request_fail(r, "%s", error.text) : request_fail_memory(r);
    add_line(r, p, &line);
    value_free(&kind, &line);
    return REQUEST_DONE;
}

static void del_one(struct request *r, struct pool *p, struct backend *b)
{
    char *name = strdup(backend_name(b));
    const struct addr addr = b->addr;
    int rc = name == NULL ? -ENOMEM : pool_del_server(p, b);
    if (rc == -ENOENT) {
        request_fail(r,
                     "%s/%s: it is in the configuration, expected one that was added at run time; "
                     "set its state to maint instead, or remove it there and reload",
                     pool_name(p), name);
    } else if (rc < 0) {
        request_fail_memory(r);
    } else {
        request_say(r, "%s/%s: removed, its sessions go on", pool_name(p), name);
        say_there(LOG_LEVEL_NOTICE, "server_removed", p, name, &addr);
    }
    free(name);
}

static enum request_result del_server(struct request *r)
{
    struct server_choice choice;
    if (!choose(r, r->word[0], &choice))
        return REQUEST_DONE;
    drains_cancel(&r->rt->drains, choice.server[0]);
    del_one(r, choice.pool, choice.server[0]); /* of those that were added there is one by a name */
    server_choice_free(&choice);
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "set server", "POOL/SERVER state|weight VALUE",
      "whether it gets new sessions: ready, drain or maint; its share of them: 1 to 256", 3, 3,
      set_server },
    { "drain", "POOL/SERVER [over TIME]",
      "no new sessions; close those that it has evenly over TIME, silent ones first", 1, 3, drain },
    { "add server", "POOL ADDRESS [OPTION...]", "add one, as a server line would", 2,
      REQUEST_WORDS_MAX, add_server },
    { "del server", "POOL/SERVER", "remove one that was added; its sessions go on", 1, 1,
      del_server },
};

const struct command_list command_server = { commands, sizeof commands / sizeof *commands };
