#include "handover/upgrade.h"

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

#include "base/human.h"
#include "base/log.h"
#include "build.h"
#include "handover/handover_channel.h"
#include "handover/handover_message.h"
#include "handover/handover_receive.h"
#include "handover/handover_send.h"

#define START_TIMEOUT_MS 30000 /* until the new process is ready */

extern char **environ;

int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*handed_over)(void *arg, int pid, uint64_t staying), void *arg)
{
    memset(u, 0, sizeof *u);
    u->rt = rt;
    u->argv = argv;
    u->handed_over = handed_over;
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

static void on_upgrade_closed(uv_handle_t *handle)
{
    struct upgrade *u = handle->data;
    if (--u->closing == 0)
        u->busy = false;
}

/* Registers a handle that was opened (rc >= 0): libuv aborts when others are closed. */
static int upgrade_add_handle(struct upgrade *u, int rc, uv_handle_t *handle)
{
    if (rc < 0)
        return rc;
    handle->data = u;
    u->handle[u->open++] = handle;
    return 0;
}

static void upgrade_close_handles(struct upgrade *u)
{
    u->closing = u->open;
    while (u->open > 0)
        uv_close(u->handle[--u->open], on_upgrade_closed);
    if (u->closing == 0)
        u->busy = false;
}

/* ---- signals ---- */

/* During the handover these stay pending: afterwards this process handles them, or sends them on to
 * the new one. */
static const int control_signals[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
#define CONTROL_SIGNALS (sizeof control_signals / sizeof control_signals[0])

static void block_signals(struct upgrade *u)
{
    sigset_t blocked;
    sigemptyset(&blocked);
    for (size_t i = 0; i < CONTROL_SIGNALS; i++)
        sigaddset(&blocked, control_signals[i]);
    pthread_sigmask(SIG_BLOCK, &blocked, &u->old_signal_mask);
    u->signals_blocked = true;
}

static void unblock_signals(struct upgrade *u)
{
    if (u->signals_blocked)
        pthread_sigmask(SIG_SETMASK, &u->old_signal_mask, NULL);
    u->signals_blocked = false;
}

/* ---- log and failure ---- */

static void __attribute__((format(printf, 3, 4)))
upgrade_log(const struct upgrade *u, enum log_level level, const char *fmt, ...)
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

static void upgrade_log_failed(struct upgrade *u, const char *path, const char *why)
{
    upgrade_log(u, LOG_LEVEL_ERROR, "%s%s%s; the old program continues", path,
                path[0] == '\0' ? "" : ": ", why);
    notify_send(&u->rt->notify, "STATUS=upgrade failed: %s", why);
}

/* Cancels the upgrade; the new process has not touched anything. */
static void upgrade_abort(struct upgrade *u, const char *why)
{
    upgrade_log_failed(u, u->path == NULL ? "" : u->path, why);
    spawn_kill(&u->spawn);
    upgrade_close_handles(u);
    spawn_close(&u->spawn);
    close(u->sock);
    u->sock = -1;
    free(u->path);
    u->path = NULL;
    unblock_signals(u);
}

void upgrade_cancel(struct upgrade *u, const char *why)
{
    if (u->busy && u->sock != -1)
        upgrade_abort(u, why);
}

static void on_upgrade_message(uv_poll_t *poll, int status, int events);

/* A process that has ended may have sent the reason before. */
static bool has_unread_message(const struct upgrade *u)
{
    struct pollfd readable = { .fd = u->sock, .events = POLLIN };
    return poll(&readable, 1, 0) == 1 && (readable.revents & POLLIN) != 0;
}

static void on_child_exit(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    char why[80];
    (void)status;
    (void)events;
    uv_poll_stop(poll);
    if (has_unread_message(u) && uv_is_active((uv_handle_t *)&u->poll))
        on_upgrade_message(&u->poll, 0, UV_READABLE);
    if (u->sock == -1)
        return;
    spawn_reap(&u->spawn, why, sizeof why);
    upgrade_abort(u, why);
}

static void on_start_timeout(uv_timer_t *timer)
{
    upgrade_abort(timer->data, "the new program was not ready in time");
}

static void on_kill_receiver(void *arg)
{
    struct upgrade *u = arg;
    spawn_kill(&u->spawn);
}

static void upgrade_abort_handover(struct upgrade *u, const struct handover_send_result *result)
{
    char why[sizeof result->error + 60];
    snprintf(why, sizeof why, "%s; sessions were paused for %" PRIu64 " us", result->error,
             result->paused_us);
    upgrade_abort(u, why);
}

static void upgrade_hand_over(struct upgrade *u)
{
    struct handover_send_result result;
    char sessions[HUMAN_MAX];
    int pid = u->spawn.pid;
    if (handover_send(u->rt, u->sock, on_kill_receiver, u, &result) < 0) {
        upgrade_abort_handover(u, &result);
        return;
    }
    upgrade_log(u, LOG_LEVEL_NOTICE, "process %d has taken over %s, paused for %" PRIu64 " us", pid,
                human_count(result.sessions, "session", sessions), result.paused_us);
    if (result.staying > 0)
        upgrade_log(u, LOG_LEVEL_NOTICE, "process %d keeps %s with TLS in user space",
                    (int)getpid(), human_count(result.staying, "session", sessions));
    notify_send(&u->rt->notify, "MAINPID=%d", pid);
    u->handed_over(u->arg, pid, result.staying);
}

/* libuv calls this before each poll. At the second call the loop has polled once, and has handled
 * every signal that was caught before signals were blocked. */
static void on_upgrade_idle(uv_idle_t *idle)
{
    struct upgrade *u = idle->data;
    if (u->has_polled) {
        uv_idle_stop(idle);
        upgrade_hand_over(u);
    }
    u->has_polled = true;
}

static void schedule_handover(struct upgrade *u)
{
    uv_poll_stop(&u->poll);
    block_signals(u);
    u->has_polled = false;
    uv_idle_start(&u->idle, on_upgrade_idle);
}

/* Copies the text of a message, which may lack its NUL. */
static void copy_text(char *to, size_t size, const struct handover_message *m)
{
    size_t len = strnlen(m->data, m->size);
    snprintf(to, size, "%.*s", (int)(len < size ? len : size), m->data);
}

static int receive_first(struct upgrade *u, struct handover_message *m)
{
    const struct handover_message_cursor none = { 0, 0 };
    int rc = handover_message_receive(u->sock, m, HANDOVER_TIMEOUT_MS);
    if (rc == -EPIPE) /* reported once; then comes what was sent before the end */
        rc = handover_message_receive(u->sock, m, HANDOVER_TIMEOUT_MS);
    if (rc == 0)
        handover_message_close_rest(m, &none);
    return rc;
}

/* The first message of the new process: ACCEPT, or REFUSE with a reason. */
static void upgrade_read_answer(struct upgrade *u, struct handover_message *m)
{
    char text[HANDOVER_REFUSAL_MAX];
    char why[HANDOVER_ERROR_MAX];
    int rc = receive_first(u, m);
    if (rc == 0 && m->type == HANDOVER_ACCEPT) {
        copy_text(u->version, sizeof u->version, m);
        schedule_handover(u);
        return;
    }
    if (rc == -EPIPE) { /* it is ending: on_child_exit() has more to log */
        uv_poll_stop(&u->poll);
        return;
    }
    if (rc == 0 && m->type == HANDOVER_REFUSE) {
        copy_text(text, sizeof text, m);
        snprintf(why, sizeof why, "the new program refuses: %s", text);
    } else if (rc == -EPROTONOSUPPORT) {
        snprintf(why, sizeof why,
                 "the new program uses another version of the handover: %u, expected %u",
                 m->version, (unsigned)HANDOVER_VERSION);
    } else {
        snprintf(why, sizeof why, "unexpected answer of the new program: %s",
                 rc < 0 ? strerror(-rc) : handover_message_type_name(m->type));
    }
    upgrade_abort(u, why);
}

static void on_upgrade_message(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    struct handover_message *m = status < 0 ? NULL : malloc(sizeof *m);
    (void)events;
    if (m == NULL)
        upgrade_abort(u, strerror(status < 0 ? -status : ENOMEM));
    else
        upgrade_read_answer(u, m);
    free(m);
}

static int upgrade_spawn(struct upgrade *u, int child)
{
    char variable[64];
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **env = calloc(count + 2, sizeof(char *));
    if (env == NULL)
        return -ENOMEM;
    memcpy(env, environ, count * sizeof(char *));
    snprintf(variable, sizeof variable, HANDOVER_ENVIRONMENT "=%d", SPAWN_SOCKET);
    env[count] = variable;
    workers_set_shared(&u->rt->workers, true);
    int rc = spawn_start(&u->spawn, u->path, u->argv, env, child, spawn_has_manager());
    workers_set_shared(&u->rt->workers, false);
    free(env);
    return rc;
}

/* Opened before the program is started, so that a failure costs nothing. libuv makes the socket
 * non-blocking; handover_channel_init() makes it blocking again. */
static int upgrade_open_handles(struct upgrade *u)
{
    uv_loop_t *loop = u->rt->loop;
    int rc = upgrade_add_handle(u, uv_poll_init(loop, &u->poll, u->sock), (uv_handle_t *)&u->poll);
    if (rc == 0) {
        deadline_init(&u->start_timeout, loop);
        rc = upgrade_add_handle(u, 0, (uv_handle_t *)&u->start_timeout);
    }
    if (rc == 0)
        rc = upgrade_add_handle(u, uv_idle_init(loop, &u->idle), (uv_handle_t *)&u->idle);
    return rc;
}

static int upgrade_watch(struct upgrade *u)
{
    int rc = upgrade_add_handle(u, uv_poll_init(u->rt->loop, &u->child_exit, u->spawn.fd),
                                (uv_handle_t *)&u->child_exit);
    if (rc == 0)
        rc = uv_poll_start(&u->child_exit, UV_READABLE, on_child_exit);
    if (rc == 0)
        rc = uv_poll_start(&u->poll, UV_READABLE, on_upgrade_message);
    if (rc == 0)
        deadline_start(&u->start_timeout, on_start_timeout, START_TIMEOUT_MS);
    return rc;
}

static void upgrade_begin(struct upgrade *u, int child)
{
    int rc = upgrade_open_handles(u);
    if (rc == 0)
        rc = upgrade_spawn(u, child);
    if (rc == 0)
        rc = upgrade_watch(u);
    if (rc < 0)
        upgrade_abort(u, uv_strerror(rc));
}

static bool can_start(const struct upgrade *u)
{
    const char *why = u->busy           ? "another upgrade is in progress"
                      : u->rt->draining ? "zproxy is draining"
                      : u->rt->leaving  ? "zproxy is leaving"
                      : !u->is_possible ? "the path of the program is unknown: /proc is not mounted"
                                        : NULL;
    if (why != NULL)
        upgrade_log(u, LOG_LEVEL_WARNING, "no upgrade: %s", why);
    return why == NULL;
}

void upgrade_start(struct upgrade *u)
{
    int pair[2];
    if (!can_start(u))
        return;
    u->version[0] = '\0';
    int rc = executable_find(&u->executable, &u->path);
    if (rc < 0) {
        upgrade_log_failed(u, u->argv[0], uv_strerror(rc));
        return;
    }
    upgrade_log(u, LOG_LEVEL_NOTICE, "starting %s", u->path);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
        upgrade_log_failed(u, u->path, strerror(errno));
        free(u->path);
        u->path = NULL;
        return;
    }
    u->busy = true;
    u->sock = pair[0];
    upgrade_begin(u, pair[1]);
    close(pair[1]);
}
