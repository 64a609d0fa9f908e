#include "ctl/ctl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AGAIN_MS    100
#define AGAIN_TRIES 300 /* of AGAIN_MS: an upgrade takes less */

uint64_t ctl_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- results ---- */

static json_t *__attribute__((format(printf, 2, 0)))
new_error(const char *code, const char *fmt, va_list args)
{
    char *text = NULL;
    if (vasprintf(&text, fmt, args) < 0)
        return NULL;
    json_t *result = json_pack("{s:[s], s:s}", "errors", text, "code", code);
    free(text);
    return result;
}

json_t *ctl_error(const char *code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *result = new_error(code, fmt, args);
    va_end(args);
    return result;
}

static void print_each(const json_t *list, const char *prefix, FILE *out)
{
    size_t i = 0;
    const json_t *line = NULL;
    json_array_foreach(list, i, line)
    {
        fprintf(out, "%s%s\n", prefix, json_string_value(line));
    }
}

static void print_json(const json_t *result, FILE *out)
{
    char *text = json_dumps(result, JSON_COMPACT);
    if (text != NULL)
        fprintf(out, "%s\n", text);
    free(text);
}

/* The status for an answer without errors: its "changed" counts with --detailed-exitcode. */
static enum ctl_status ctl_done(const struct ctl *c, const json_t *answer)
{
    bool changed = json_is_true(json_object_get(answer, "changed"));
    return c->detailed_exitcode && changed ? CTL_CHANGED : CTL_DONE;
}

enum ctl_status ctl_finish(const struct ctl *c, enum ctl_status status, json_t *result)
{
    const json_t *errors = json_object_get(result, "errors");
    FILE *out = errors != NULL ? stderr : stdout;
    if (result == NULL) {
        fprintf(stderr, "zproxyctl: out of memory\n");
        return CTL_FAILED;
    }
    if (c->json) {
        print_json(result, out);
    } else {
        print_each(json_object_get(result, "notes"), "zproxyctl: ", stderr);
        print_each(errors, "zproxyctl: ", stderr);
        print_each(json_object_get(result, "lines"), "", stdout);
    }
    if (status == CTL_DONE)
        status = ctl_done(c, result);
    json_decref(result);
    return status;
}

enum ctl_status ctl_fail(const struct ctl *c, enum ctl_status status, const char *code,
                         const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    json_t *result = new_error(code, fmt, args);
    va_end(args);
    return ctl_finish(c, status, result);
}

/* ---- requests ---- */

/* Advice on an error of the connection. */
static const char *error_hint(int error)
{
    switch (error) {
    case ENOENT:
    case ECONNREFUSED:
        return ": is zproxy running, with this socket in [admin]? -s selects another socket";
    case EACCES:
    case EPERM:
        return ": run zproxyctl as root, or as a user that socket_mode in [admin] allows";
    case ENAMETOOLONG:
        return ", expected a path of at most 107 bytes";
    case EPIPE:
    case ECONNRESET:
        return ": is it still running? Its log has the reason";
    default:
        return "";
    }
}

enum ctl_status ctl_fail_connection(const struct ctl *c, int rc)
{
    return ctl_fail(c, CTL_NOT_CONNECTED, "unreachable", "%s: %s%s", c->client.path,
                    rc == -EPIPE ? "zproxy closed the connection" : strerror(-rc), error_hint(-rc));
}

static bool must_ask_again(const json_t *answer)
{
    const char *code = json_string_value(json_object_get(answer, "code"));
    return code != NULL && strcmp(code, "again") == 0;
}

static json_t *request_once(struct ctl *c, const char *command, int *rc)
{
    char *text = NULL;
    *rc = control_client_request(&c->client, true, command, &text);
    if (*rc < 0)
        return NULL;
    json_t *answer = json_loads(text, 0, NULL);
    free(text);
    *rc = answer == NULL ? -EPROTO : 0;
    return answer;
}

json_t *ctl_request(struct ctl *c, const char *command, int *rc)
{
    static const struct timespec pause = { .tv_nsec = AGAIN_MS * 1000000L };
    json_t *answer = request_once(c, command, rc);
    for (int i = 0; i < AGAIN_TRIES && answer != NULL && must_ask_again(answer); i++) {
        json_decref(answer);
        nanosleep(&pause, NULL);
        control_client_close(&c->client); /* that of the old process */
        answer = request_once(c, command, rc);
    }
    return answer;
}
