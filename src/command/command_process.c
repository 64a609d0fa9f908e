#include "command/command.h"

#include <inttypes.h>
#include <string.h>

#include "base/human.h"
#include "base/value.h"
#include "session/conn_limit.h"

/* Reads a time in ms after the word `what`. Returns false after failing the request. */
static bool read_time(struct request *r, size_t i, const char *what, const struct value *kind,
                      uint64_t *time)
{
    struct value_error error;
    if (i + 1 == r->count) {
        request_fail_as(r, REQUEST_USAGE, "%s: expected %s TIME", what, what);
        return false;
    }
    if (value_parse(kind, time, r->word[i + 1], &error) == 0)
        return true;
    request_fail_as(r, REQUEST_USAGE, "%s: %s", what, error.text);
    return false;
}

/* Reads "after TIME" and "over TIME", in either order; without them *after and *over keep their
 * values. Returns false after failing the request. */
static bool read_times(struct request *r, uint64_t *after, uint64_t *over)
{
    static const struct value delay = VALUE_DURATION(0, 365 * VALUE_DAY, NULL);
    static const struct value spread = VALUE_DURATION(1, 365 * VALUE_DAY, NULL);
    bool has_after = false;
    bool has_over = false;
    for (size_t i = 0; i < r->count; i += 2) {
        const char *word = r->word[i];
        bool is_after = strcmp(word, "after") == 0;
        bool *has = is_after ? &has_after : &has_over;
        if ((!is_after && strcmp(word, "over") != 0) || *has) {
            request_fail_as(r, REQUEST_USAGE, "%s: %s, expected after TIME, over TIME or both",
                            word, *has ? "given twice" : "unknown");
            return false;
        }
        *has = true;
        if (!read_time(r, i, word, is_after ? &delay : &spread, is_after ? after : over))
            return false;
    }
    return true;
}

static enum request_result shut_down(struct request *r)
{
    struct runtime *rt = r->rt;
    char text[HUMAN_MAX];
    uint64_t after = SHUTDOWN_DELAY;
    uint64_t over = 0;
    if (!read_times(r, &after, &over))
        return REQUEST_DONE;
    if (rt->draining && r->count == 0) {
        request_print(r, "zproxy is shutting down already, %" PRIu64 " to finish",
                      conn_limit_used(&rt->conn_limit));
        request_changed(r, false);
        return REQUEST_DONE;
    }
    if (rt->draining || rt->shut_down == NULL)
        return request_fail(r, "shutdown: zproxy is shutting down already");
    rt->shut_down(rt->shut_down_arg, after, over);
    request_changed(r, true);
    if (rt->leaving)
        request_print(r, "leaving: new sessions are accepted for %s more",
                      human_time(rt->leave_until - uv_now(rt->loop), text));
    else if (over == 0)
        request_print(r, "no new sessions, %" PRIu64 " to finish",
                      conn_limit_used(&rt->conn_limit));
    else
        request_print(r, "no new sessions, closing %" PRIu64 " over %s",
                      conn_limit_used(&rt->conn_limit), human_time(over, text));
    return REQUEST_DONE;
}

static const struct command commands[] = {
    { "shutdown", "[after TIME] [over TIME]",
      "end zproxy as SIGTERM does; after TIME in which it is not healthy but accepts; over TIME: "
      "close sessions at an even rate, idle ones first",
      0, 4, shut_down, COMMAND_SUGGEST_NEVER, COMMAND_CHANGES },
};

const struct command_list command_process = COMMAND_LIST(commands);
