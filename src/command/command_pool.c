#include "command/command.h"

#include <inttypes.h>

#include "base/human.h"
#include "base/log.h"
#include "command/server_view.h"

/* ---- pause and resume ---- */

static void log_pause(const struct pool *p, bool pause)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    log_begin(&line, LOG_LEVEL_NOTICE, pause ? "pool_paused" : "pool_resumed");
    log_str(&line, "pool", pool_name(p));
    log_uint(&line, "queued", pool_waiting(p));
    log_end(&line);
}

/* Returns why the sessions of the pool could not wait; NULL: they can. */
static const char *cannot_wait(const struct pool *p)
{
    if (pool_file(p) != NULL)
        return "answers with a file, no session waits for a server";
    if (pool_conf(p)->max_queue == 0)
        return "has max_queue = 0, expected the number of sessions that may wait";
    return NULL;
}

static void print_pause(struct request *r, const struct pool *p, bool changed, uint64_t waited)
{
    char text[HUMAN_MAX];
    if (pool_is_paused(p))
        request_print(r, "%s: paused%s; %s waiting, at most %" PRIu64, pool_name(p),
                      changed ? "" : " already", human_count(pool_waiting(p), "session", text),
                      pool_conf(p)->max_queue);
    else if (changed)
        request_print(r, "%s: resumed; %s waited", pool_name(p),
                      human_count(waited, "session", text));
    else
        request_print(r, "%s: not paused", pool_name(p));
}

static enum request_result set_pause(struct request *r, bool pause)
{
    struct pool *p = server_view_find_pool(r, r->word[0]);
    if (p == NULL)
        return REQUEST_DONE;
    const char *why = pause ? cannot_wait(p) : NULL;
    if (why != NULL)
        return request_fail(r, "pool %s %s", pool_name(p), why);
    uint64_t waited = pool_waiting(p);
    if (!pause && pool_is_paused(p))
        log_pause(p, false); /* before the lines of the sessions that start */
    bool changed = pool_pause(p, pause, uv_now(r->rt->loop));
    if (pause && changed)
        log_pause(p, true);
    request_changed(r, changed);
    print_pause(r, p, changed, waited);
    return REQUEST_DONE;
}

static enum request_result command_pause(struct request *r)
{
    return set_pause(r, true);
}

static enum request_result command_resume(struct request *r)
{
    return set_pause(r, false);
}

static const struct command commands[] = {
    { "pause", "POOL", "new sessions of the pool wait in its queue; established ones go on", 1, 1,
      command_pause, COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
    { "resume", "POOL", "end a pause: the sessions that wait start, in their order", 1, 1,
      command_resume, COMMAND_SUGGEST_NEAR, COMMAND_CHANGES },
};

const struct command_list command_pool = COMMAND_LIST(commands);
