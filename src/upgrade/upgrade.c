#include "upgrade/upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "build.h"
#include "upgrade/bequest.h"
#include "upgrade/heir.h"
#include "upgrade/parcel.h"

#define PATIENCE_MS 30000 /* for the new program to come up: it may wait for names */

extern char **environ;

int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*gone)(void *arg, int pid), void *arg)
{
    memset(u, 0, sizeof *u);
    u->rt = rt;
    u->argv = argv;
    u->gone = gone;
    u->arg = arg;
    u->sock = -1;
    u->spawn.fd = -1;
    int rc = executable_init(&u->executable, argv[0]);
    u->is_possible = rc == 0;
    return rc;
}

void upgrade_fini(struct upgrade *u)
{
    executable_fini(&u->executable);
}

/* ---- handles ---- */

static void on_closed(uv_handle_t *handle)
{
    struct upgrade *u = handle->data;
    if (--u->closing == 0)
        u->busy = false;
}

/* Only what has been opened can be closed. */
static int note_open(struct upgrade *u, int rc, uv_handle_t *handle)
{
    if (rc < 0)
        return rc;
    handle->data = u;
    u->handle[u->open++] = handle;
    return 0;
}

static void close_handles(struct upgrade *u)
{
    u->closing = u->open;
    while (u->open > 0)
        uv_close(u->handle[--u->open], on_closed);
    if (u->closing == 0)
        u->busy = false;
}

/* ---- signals ---- */

/* What is ours to obey if we go on, and the new program's if not: until that is known it waits. */
static const int our_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
#define OUR_SIGNALS (sizeof our_signals / sizeof our_signals[0])

static void hold_signals(struct upgrade *u)
{
    sigset_t held;
    sigemptyset(&held);
    for (size_t i = 0; i < OUR_SIGNALS; i++)
        sigaddset(&held, our_signals[i]);
    pthread_sigmask(SIG_BLOCK, &held, &u->signals);
    u->holds_signals = true;
}

static void let_signals_come(struct upgrade *u)
{
    if (u->holds_signals)
        pthread_sigmask(SIG_SETMASK, &u->signals, NULL);
    u->holds_signals = false;
}

/* ---- what is said of it ---- */

static void __attribute__((format(printf, 3, 4)))
say(const struct upgrade *u, enum log_level level, const char *fmt, ...)
{
    char text[LOG_LINE_MAX / 2];
    struct log_line line;
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    log_begin(&line, level, "upgrade");
    log_str(&line, "from", PACKAGE_VERSION);
    if (u->version[0] != '\0')
        log_str(&line, "to", u->version);
    log_str(&line, "msg", text);
    log_end(&line);
}

static void say_failed(struct upgrade *u, const char *path, const char *why)
{
    say(u, LOG_LEVEL_ERROR, "%s%s%s; this program goes on", path, path[0] == '\0' ? "" : ": ", why);
    notify_send(&u->rt->notify, "STATUS=upgrade failed: %s", why);
}

/* The new program has not touched anything. */
static void give_up(struct upgrade *u, const char *why)
{
    say_failed(u, u->path == NULL ? "" : u->path, why);
    spawn_kill(&u->spawn);
    close_handles(u);
    spawn_close(&u->spawn);
    close(u->sock);
    u->sock = -1;
    free(u->path);
    u->path = NULL;
    let_signals_come(u);
}

void upgrade_cancel(struct upgrade *u, const char *why)
{
    if (u->busy && u->sock != -1)
        give_up(u, why);
}

static void on_readable(uv_poll_t *poll, int status, int events);

/* When it has gone what it said before is still to be read: that says more. */
static bool has_last_words(const struct upgrade *u)
{
    struct pollfd ask = { .fd = u->sock, .events = POLLIN };
    return poll(&ask, 1, 0) == 1 && (ask.revents & POLLIN) != 0;
}

static void on_ended(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    char why[80];
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    if (has_last_words(u) && uv_is_active((uv_handle_t *)&u->poll))
        on_readable(&u->poll, 0, UV_READABLE);
    if (u->sock == -1)
        return;
    spawn_end(&u->spawn, why, sizeof why);
    give_up(u, why);
}

static void on_patience(uv_timer_t *timer)
{
    give_up(timer->data, "the new program does not come up");
}

static void on_dead_wanted(void *arg)
{
    struct upgrade *u = arg;
    spawn_kill(&u->spawn);
}

static void pass_signals_on(const struct upgrade *u)
{
    sigset_t pending;
    sigpending(&pending);
    for (size_t i = 0; i < OUR_SIGNALS; i++)
        if (sigismember(&pending, our_signals[i]) == 1)
            spawn_signal(&u->spawn, our_signals[i]);
}

static void give_up_handover(struct upgrade *u, const struct bequest_result *result)
{
    char why[sizeof result->error + 60];
    snprintf(why, sizeof why, "%s; nothing moved for %" PRIu64 " us", result->error,
             result->paused_us);
    give_up(u, why);
}

static void hand_over(struct upgrade *u)
{
    struct bequest_result result;
    int pid = u->spawn.pid;
    if (bequest_run(u->rt, u->sock, on_dead_wanted, u, &result) < 0) {
        give_up_handover(u, &result);
        return;
    }
    say(u, LOG_LEVEL_NOTICE,
        "process %d has taken over, with %" PRIu64 " sessions; nothing moved for %" PRIu64 " us",
        pid, result.sessions, result.paused_us);
    notify_send(&u->rt->notify, "MAINPID=%d", pid);
    pass_signals_on(u);
    u->gone(u->arg, pid);
}

/* Called before each poll of the loop: the second time everything that had been caught before
 * signals were held has been obeyed. */
static void on_idle(uv_idle_t *idle)
{
    struct upgrade *u = idle->data;
    if (u->polled_since) {
        uv_idle_stop(idle);
        hand_over(u);
    }
    u->polled_since = true;
}

static void prepare_to_hand_over(struct upgrade *u)
{
    uv_poll_stop(&u->poll);
    hold_signals(u);
    u->polled_since = false;
    uv_idle_start(&u->idle, on_idle);
}

/* The text of a message, as far as it is one. */
static void copy_text(char *to, size_t size, const struct parcel *p)
{
    size_t len = strnlen(p->data, p->size);
    snprintf(to, size, "%.*s", (int)(len < size ? len : size), p->data);
}

/* What the new program says first: that it is up, or why not. */
static void read_answer(struct upgrade *u, struct parcel *p)
{
    char why[300];
    char text[200];
    int rc = parcel_receive(u->sock, p, PARCEL_PATIENCE);
    if (rc == -EPIPE) /* what it said before it ended is behind the error */
        rc = parcel_receive(u->sock, p, PARCEL_PATIENCE);
    const struct parcel_place none = { 0, 0 };
    if (rc == 0)
        parcel_close_rest(p, &none);
    if (rc == 0 && p->type == PARCEL_ACCEPT) {
        copy_text(u->version, sizeof u->version, p);
        prepare_to_hand_over(u);
    } else if (rc == 0 && p->type == PARCEL_REFUSE) {
        copy_text(text, sizeof text, p);
        snprintf(why, sizeof why, "the new program refuses: %s", text);
        give_up(u, why);
    } else if (rc == -EPROTONOSUPPORT) {
        snprintf(why, sizeof why,
                 "the new program speaks another version of the handover: %u, expected %u",
                 p->version, (unsigned)PARCEL_VERSION);
        give_up(u, why);
    } else if (rc != -EPIPE) { /* that one ends: its status says more */
        snprintf(why, sizeof why, "the new program talks nonsense: %s",
                 rc < 0 ? strerror(-rc) : "it does not say first that it is up");
        give_up(u, why);
    } else {
        uv_poll_stop(&u->poll);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    struct parcel *p = status < 0 ? NULL : malloc(sizeof *p);
    (void)events;
    if (p == NULL)
        give_up(u, strerror(status < 0 ? -status : ENOMEM));
    else
        read_answer(u, p);
    free(p);
}

static int spawn(struct upgrade *u, int child)
{
    char variable[64];
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **env = calloc(count + 2, sizeof(char *));
    if (env == NULL)
        return -ENOMEM;
    memcpy(env, environ, count * sizeof(char *));
    snprintf(variable, sizeof variable, HEIR_ENVIRONMENT "=%d", SPAWN_SOCKET);
    env[count] = variable;
    crew_share(&u->rt->crew, true);
    int rc = spawn_start(&u->spawn, u->path, u->argv, env, child, spawn_has_manager());
    crew_share(&u->rt->crew, false);
    free(env);
    return rc;
}

/* libuv makes the socket non-blocking, which a handover is not: it has a patience of its own. */
static int open_handles(struct upgrade *u)
{
    uv_loop_t *loop = u->rt->loop;
    int rc = note_open(u, uv_poll_init(loop, &u->poll, u->sock), (uv_handle_t *)&u->poll);
    if (rc == 0) {
        deadline_init(&u->patience, loop);
        rc = note_open(u, 0, (uv_handle_t *)&u->patience);
    }
    if (rc == 0)
        rc = note_open(u, uv_idle_init(loop, &u->idle), (uv_handle_t *)&u->idle);
    return rc;
}

static int watch(struct upgrade *u)
{
    int rc =
        note_open(u, uv_poll_init(u->rt->loop, &u->ended, u->spawn.fd), (uv_handle_t *)&u->ended);
    if (rc == 0)
        rc = uv_poll_start(&u->ended, UV_READABLE, on_ended);
    if (rc == 0)
        rc = uv_poll_start(&u->poll, UV_READABLE, on_readable);
    if (rc == 0)
        deadline_start(&u->patience, on_patience, PATIENCE_MS);
    return rc;
}

static void begin(struct upgrade *u, int child)
{
    int rc = open_handles(u);
    if (rc == 0)
        rc = spawn(u, child);
    if (rc == 0)
        rc = watch(u);
    if (rc < 0)
        give_up(u, uv_strerror(rc));
}

static bool is_time(const struct upgrade *u)
{
    const char *why = u->busy           ? "another upgrade is under way"
                      : u->rt->draining ? "zproxy is draining"
                      : !u->is_possible ? "its program is unknown, /proc is not there"
                                        : NULL;
    if (why != NULL)
        say(u, LOG_LEVEL_WARNING, "not now: %s", why);
    return why == NULL;
}

void upgrade_start(struct upgrade *u)
{
    int pair[2];
    if (!is_time(u))
        return;
    u->version[0] = '\0';
    int rc = executable_find(&u->executable, &u->path);
    if (rc < 0) {
        say_failed(u, u->argv[0], uv_strerror(rc));
        return;
    }
    say(u, LOG_LEVEL_NOTICE, "starting %s", u->path);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
        say_failed(u, u->path, strerror(errno));
        free(u->path);
        u->path = NULL;
        return;
    }
    u->busy = true;
    u->sock = pair[0];
    begin(u, pair[1]);
    close(pair[1]);
}
