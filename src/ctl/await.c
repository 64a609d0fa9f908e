#include "ctl/await.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define ASK_MS   10000 /* the time of one question: zproxy answers after it in any case */
#define RETRY_MS 1000  /* between questions if zproxy answers at once, as too many clients wait */

static void await_sleep(uint64_t ms)
{
    const struct timespec time = { .tv_sec = (time_t)(ms / 1000),
                                   .tv_nsec = (long)(ms % 1000) * 1000000 };
    nanosleep(&time, NULL);
}

static uint64_t time_left(uint64_t until)
{
    uint64_t now = ctl_clock();
    return until == CTL_NO_TIMEOUT ? until : until > now ? until - now : 0;
}

static uint64_t deadline_of(const struct ctl *c)
{
    return c->timeout == CTL_NO_TIMEOUT ? c->timeout : ctl_clock() + c->timeout;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* Text is shown when it comes; JSON is one object at the end. */
static void show_lines(const struct ctl *c, json_t *answer)
{
    size_t i = 0;
    const json_t *line = NULL;
    if (c->json)
        return;
    json_array_foreach(json_object_get(answer, "lines"), i, line)
    {
        puts(json_string_value(line));
    }
    fflush(stdout);
    json_array_clear(json_object_get(answer, "lines"));
}

/* ---- until there is no session ---- */

static json_t *ask_once(struct ctl *c, const char *target, uint64_t ms, int *rc)
{
    char *command = NULL;
    if (asprintf(&command, "wait %s for %llums", target, (unsigned long long)ms) < 0) {
        *rc = -ENOMEM;
        return NULL;
    }
    json_t *answer = ctl_request(c, command, rc);
    free(command);
    return answer;
}

/* Returns the last answer, which says whether the target is drained or has errors; NULL and *rc if
 * there is none. */
static json_t *ask_until(struct ctl *c, const char *target, uint64_t until, int *rc)
{
    for (;;) {
        uint64_t began = ctl_clock();
        json_t *answer = ask_once(c, target, least(ASK_MS, time_left(until)), rc);
        uint64_t took = ctl_clock() - began;
        if (answer == NULL || json_object_get(answer, "errors") != NULL ||
            json_is_true(json_object_get(answer, "drained")) || time_left(until) == 0)
            return answer;
        json_decref(answer);
        if (took < RETRY_MS)
            await_sleep(least(RETRY_MS, time_left(until)));
    }
}

/* A target that is not known any more has no session: zproxy counts those of removed ones. */
static bool is_gone(const json_t *answer)
{
    const char *code = json_string_value(json_object_get(answer, "code"));
    return code != NULL && strcmp(code, "not_found") == 0;
}

/* Adds what both results have. Takes ownership of result. */
static enum ctl_status finish_wait(const struct ctl *c, enum ctl_status status, json_t *result,
                                   json_int_t sessions, const json_t *changed)
{
    json_object_set_new(result, "sessions", json_integer(sessions));
    json_object_set_new(result, "drained", json_boolean(sessions == 0));
    if (changed != NULL)
        json_object_set_new(result, "changed", json_deep_copy(changed));
    return ctl_finish(c, status, result);
}

/* lines, changed: of the command before; NULL: none. */
static enum ctl_status await(struct ctl *c, const char *target, const json_t *lines,
                             const json_t *changed)
{
    int rc = 0;
    json_t *answer = ask_until(c, target, deadline_of(c), &rc);
    if (answer == NULL)
        return ctl_fail_connection(c, rc);
    json_int_t sessions = json_integer_value(json_object_get(answer, "sessions"));
    bool is_drained = json_is_true(json_object_get(answer, "drained"));
    if (json_object_get(answer, "errors") != NULL && !is_gone(answer))
        return ctl_finish(c, CTL_FAILED, answer);
    is_drained |= json_object_get(answer, "errors") != NULL;
    json_decref(answer);
    if (!is_drained)
        return finish_wait(c, CTL_TIMED_OUT,
                           ctl_error("timeout", "%s: timed out, %lld session%s left", target,
                                     (long long)sessions, sessions == 1 ? "" : "s"),
                           sessions, changed);
    json_t *all = lines == NULL ? json_array() : json_deep_copy(lines);
    json_array_append_new(all, json_sprintf("%s: no session left", target));
    return finish_wait(c, CTL_DONE, json_pack("{s:o}", "lines", all), 0, changed);
}

/* Runs a command. Returns its answer; or NULL after printing its errors, with the status. */
static json_t *run_first(struct ctl *c, const char *command, enum ctl_status *status)
{
    int rc = 0;
    json_t *answer = ctl_request(c, command, &rc);
    if (answer != NULL && json_object_get(answer, "errors") == NULL)
        return answer;
    *status = answer == NULL ? ctl_fail_connection(c, rc) : ctl_finish(c, CTL_FAILED, answer);
    return NULL;
}

enum ctl_status await_target(struct ctl *c, const char *target)
{
    int rc = 0;
    json_t *answer = ask_once(c, target, 0, &rc);
    if (answer == NULL)
        return ctl_fail_connection(c, rc);
    if (json_object_get(answer, "errors") != NULL)
        return ctl_finish(c, CTL_FAILED, answer);
    json_decref(answer);
    return await(c, target, NULL, NULL); /* it exists; a reload may remove it from now on */
}

enum ctl_status await_drain(struct ctl *c, const char *command, const char *target)
{
    enum ctl_status status = CTL_DONE;
    json_t *answer = run_first(c, command, &status);
    if (answer == NULL)
        return status;
    show_lines(c, answer);
    status = await(c, target, json_object_get(answer, "lines"), json_object_get(answer, "changed"));
    json_decref(answer);
    return status;
}

/* ---- until the process has ended ---- */

static json_int_t pid_of_zproxy(struct ctl *c)
{
    int rc = 0;
    json_t *info = ctl_request(c, "show info", &rc);
    json_int_t pid = json_integer_value(json_object_get(info, "pid"));
    json_decref(info);
    return pid;
}

/* A descriptor that is readable when the process has ended; the caller closes it. -1: unknown,
 * since pid is of another PID namespace, or the kernel is older than 5.3. */
static int open_process(json_int_t pid)
{
    char path[64];
    struct stat own;
    struct stat other;
    snprintf(path, sizeof path, "/proc/%lld/ns/pid", (long long)pid);
    if (stat("/proc/self/ns/pid", &own) == -1 || stat(path, &other) == -1 ||
        own.st_ino != other.st_ino)
        return -1;
    return (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
}

/* zproxy closes its control socket when it ends; or it has closed this connection to make room for
 * another client. Returns false at the deadline. */
static bool await_close(struct ctl *c, json_int_t pid, uint64_t until)
{
    for (;;) {
        if (!control_client_await_end(&c->client, time_left(until))) {
            if (time_left(until) == 0)
                return false;
            continue;
        }
        control_client_close(&c->client);
        if (control_client_open(&c->client, c->client.path) < 0 || pid_of_zproxy(c) != pid)
            return true;
    }
}

static bool await_process(int process, uint64_t until)
{
    struct pollfd fd = { .fd = process, .events = POLLIN };
    while (process != -1 && poll(&fd, 1, (int)least(time_left(until), INT_MAX)) != 1)
        if (time_left(until) == 0)
            return false;
    return true;
}

enum ctl_status await_shutdown(struct ctl *c, const char *command)
{
    uint64_t until = deadline_of(c);
    enum ctl_status status = CTL_DONE;
    json_int_t pid = pid_of_zproxy(c);
    json_t *answer = run_first(c, command, &status);
    if (answer == NULL)
        return status;
    show_lines(c, answer);
    int process = open_process(pid);
    bool has_ended = await_close(c, pid, until) && await_process(process, until);
    if (process != -1)
        close(process);
    if (!has_ended) {
        json_t *changed = json_incref(json_object_get(answer, "changed"));
        json_decref(answer);
        answer = ctl_error("timeout", "shutdown: timed out, zproxy has not ended");
        json_object_set_new(answer, "changed", changed);
        return ctl_finish(c, CTL_TIMED_OUT, answer);
    }
    json_array_append_new(json_object_get(answer, "lines"), json_string("zproxy has ended"));
    return ctl_finish(c, CTL_DONE, answer);
}
