#include "command/command.h"

#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "base/value.h"
#include "command/server_view.h"

static void print_running(struct request *r, const char *pool, const struct rebalance_progress *c,
                          const char *what)
{
    char text[HUMAN_MAX];
    char sessions[HUMAN_MAX];
    human_count(c->planned, "session", sessions);
    if (c->length == 0)
        request_print(r, "%s: %s, %s to close", pool, what, sessions);
    else
        request_print(r, "%s: %s, %s to close over %s", pool, what, sessions,
                      human_time(c->length, text));
}

static void on_rebalance_planned(void *arg, enum rebalance_started started,
                                 const struct rebalance_progress *progress)
{
    struct request *r = arg;
    const char *pool = r->word[0];
    request_changed(r, started == REBALANCE_STARTED && progress != NULL);
    if (progress == NULL)
        request_fail(r, "%s: the rebalance ended before its sessions were counted", pool);
    else if (started == REBALANCE_BALANCED)
        request_print(r, "%s: balanced, no session to close", pool);
    else if (progress->counted == 0)
        request_print(r, "%s: is being rebalanced, its sessions are being counted", pool);
    else
        print_running(r, pool, progress,
                      started == REBALANCE_RUNNING ? "is being rebalanced" : "rebalancing");
    request_finish(r);
}

static enum request_result rebalance_stop(struct request *r, const struct pool *p)
{
    struct rebalance_progress c;
    char text[HUMAN_MAX];
    bool was_running = rebalances_stop(&r->rt->rebalances, p, &c);
    request_changed(r, was_running);
    if (was_running)
        request_print(r, "%s: stopped, %s closed", pool_name(p),
                      human_count(c.closed, "session", text));
    else
        request_print(r, "%s: is not being rebalanced", pool_name(p));
    return REQUEST_DONE;
}

static enum request_result command_rebalance_run(struct request *r)
{
    static const struct value time = VALUE_DURATION(1, 365 * VALUE_DAY, NULL);
    struct value_error error;
    uint64_t over = 0;
    bool stop = r->count == 2 && strcmp(r->word[1], "stop") == 0;
    if (r->count > 1 && !stop && (r->count != 3 || strcmp(r->word[1], "over") != 0))
        return request_fail_as(r, REQUEST_USAGE, "%s: unknown, expected over TIME, or stop",
                               r->word[1]);
    if (r->count == 3 && value_parse(&time, &over, r->word[2], &error) < 0)
        return request_fail_as(r, REQUEST_USAGE, "%s", error.text);
    struct pool *p = server_view_find_pool(r, r->word[0]);
    if (p == NULL)
        return REQUEST_DONE;
    if (stop)
        return rebalance_stop(r, p);
    if (pool_file(p) != NULL)
        return request_fail(r, "%s: the pool answers with a file, it has no servers", r->word[0]);
    if (pool_is_paused(p))
        return request_fail(r,
                            "%s: the pool is paused, sessions that are closed could not come back",
                            r->word[0]);
    if (r->rt->draining)
        return request_fail(r, "zproxy is draining: its sessions cannot come back");
    if (rebalances_start(&r->rt->rebalances, p, over, on_rebalance_planned, r) < 0)
        return request_fail_memory(r);
    return REQUEST_LATER; /* on_rebalance_planned() has answered, or will */
}

static const struct command commands[] = {
    { "rebalance", "POOL [over TIME | stop]",
      "close sessions beyond each server's fair share, at once or over TIME, idle ones first", 1, 3,
      command_rebalance_run, COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
};

const struct command_list command_rebalance = COMMAND_LIST(commands);
