#include "command/command.h"

#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "base/value.h"
#include "session/conn_limit.h"

/* Reads a time in ms; without arguments *over stays 0: shutdown_timeout applies. Returns false
 * after failing the request. */
static bool read_time(struct request *r, uint64_t *over)
{
    static const struct value time = VALUE_DURATION(1, 365 * VALUE_DAY, NULL);
    struct value_error error;
    if (r->count == 0)
        return true;
    if (r->count == 1 || strcmp(r->word[0], "over") != 0) {
        request_fail(r, "%s: unknown, expected over TIME", r->word[0]);
        return false;
    }
    if (value_parse(&time, over, r->word[1], &error) == 0)
        return true;
    request_fail(r, "%s", error.text);
    return false;
}

static enum request_result shut_down(struct request *r)
{
    struct runtime *rt = r->rt;
    char text[HUMAN_MAX];
    uint64_t over = 0;
    if (!read_time(r, &over))
        return REQUEST_DONE;
    if (rt->draining || rt->shut_down == NULL)
        return request_fail(r, "shutdown: zproxy is shutting down already");
    if (over == 0)
        request_print(r, "no new sessions, %" PRIu64 " to finish",
                      conn_limit_used(&rt->conn_limit));
    else
        request_print(r, "no new sessions, closing %" PRIu64 " over %s",
                      conn_limit_used(&rt->conn_limit), human_time(over, text));
    rt->shut_down(rt->shut_down_arg, over);
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "shutdown", "[over TIME]",
      "end zproxy as SIGTERM does; with TIME, close sessions at an even rate, idle ones first", 0,
      2, shut_down, COMMAND_SUGGEST_NEVER },
};

const struct command_list command_process = COMMAND_LIST(commands);
