#include "command/command.h"

#include <errno.h>
#include <string.h>

#include "base/log.h"
#include "base/value.h"
#include "control/healthz.h"

static enum request_result fail_listener(struct request *r, const char *name)
{
    return request_fail_as(r, REQUEST_NOT_FOUND, "%s: no such listener, try \"show listeners\"",
                           name);
}

/* ---- health ---- */

/* In JSON a record, otherwise a line that begins with "ok" only if it is healthy: zproxyctl makes
 * its exit status of it. */
static enum request_result print_health(struct request *r, const char *listener,
                                        enum healthz health)
{
    static const struct sheet_column columns[] = { { "listener", SHEET_TEXT },
                                                   { "health", SHEET_TEXT },
                                                   { "healthy", SHEET_BOOL } };
    if (!r->json) {
        request_print(r, "%s", healthz_name(health));
        return REQUEST_DONE;
    }
    struct sheet *s = sheet_new(columns, sizeof columns / sizeof *columns);
    if (s == NULL)
        return request_fail_memory(r);
    sheet_text(s, listener);
    sheet_text(s, healthz_name(health));
    sheet_bool(s, health == HEALTHZ_OK);
    return request_record(r, s);
}

static enum request_result show_health(struct request *r)
{
    enum healthz health = HEALTHZ_STARTING;
    if (r->count == 0)
        health = healthz_of_process(r->rt);
    else if (healthz_of_listener(r->rt, r->word[0], &health) == -ENOENT)
        return fail_listener(r, r->word[0]);
    return print_health(r, r->word[0], health);
}

/* ---- set health ---- */

static struct listener_state *find_listener(const struct runtime *rt, const char *name)
{
    const struct generation *g = rt->current;
    for (size_t i = 0; g != NULL && i < g->conf->listen_count; i++)
        if (strcmp(g->conf->listen[i].name, name) == 0)
            return g->frontend[i].listener_state;
    return NULL;
}

static void log_health_set(const char *listener, enum health_override from, enum health_override to)
{
    struct log_line line;
    if (from == to || !log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, "health_set");
    if (listener != NULL)
        log_str(&line, "listener", listener);
    log_str(&line, "from", health_override_words[from]);
    log_str(&line, "to", health_override_words[to]);
    log_end(&line);
}

static enum request_result set_health(struct request *r)
{
    static const struct value kind = VALUE_CHOICE(health_override_words);
    const char *listener = r->word[1]; /* NULL: the process */
    struct value_error error;
    enum health_override to = HEALTH_AUTO;
    if (value_parse(&kind, &to, r->word[0], &error) < 0)
        return request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    struct listener_state *e = listener == NULL ? NULL : find_listener(r->rt, listener);
    if (listener != NULL && e == NULL)
        return fail_listener(r, listener);
    enum health_override *set = e == NULL ? &r->rt->health_override : &e->health_override;
    request_print(r, "%s%shealth %s, was %s", listener == NULL ? "" : listener,
                  listener == NULL ? "" : ": ", health_override_words[to],
                  health_override_words[*set]);
    request_changed(r, *set != to);
    log_health_set(listener, *set, to);
    *set = to;
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "health", "[LISTENER]", "whether /healthz says ok, also by the exit status of zproxyctl", 0,
      1, show_health, COMMAND_SUGGEST_ALWAYS, COMMAND_READS },
    { "set health", "HEALTH [LISTENER]",
      "what /healthz says, whatever is true: fail, ok; auto ends this", 1, 2, set_health,
      COMMAND_SUGGEST_GROUP, COMMAND_CHANGES },
};

const struct command_list command_health = COMMAND_LIST(commands);
