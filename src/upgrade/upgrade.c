#include "upgrade/upgrade.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "upgrade/bequest.h"
#include "upgrade/heir.h"
#include "upgrade/parcel.h"

#define PATIENCE_MS 30000 /* for the new program to come up: it may wait for names */
#define CHILD_FD    3

extern char **environ;

int upgrade_init(struct upgrade *u, struct runtime *rt, char *const *argv,
                 void (*gone)(void *arg, int pid), void *arg)
{
    char path[4096];
    memset(u, 0, sizeof *u);
    u->rt = rt;
    u->argv = argv;
    u->gone = gone;
    u->arg = arg;
    u->sock = -1;
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n == -1)
        return -errno;
    path[n] = '\0';
    u->program = strdup(path);
    return u->program == NULL ? -ENOMEM : 0;
}

void upgrade_fini(struct upgrade *u)
{
    free(u->program);
}

static void on_closed(uv_handle_t *handle)
{
    struct upgrade *u = handle->data;
    if (--u->closing == 0)
        u->busy = false;
}

static void close_handle(struct upgrade *u, uv_handle_t *handle)
{
    u->closing++;
    uv_close(handle, on_closed);
}

/* Dead, and no zombie either: with its handle closed nobody else would wait for it. */
static void kill_child(struct upgrade *u)
{
    if (u->pid <= 0)
        return;
    kill(u->pid, SIGKILL);
    while (waitpid(u->pid, NULL, 0) == -1 && errno == EINTR)
        ;
    u->pid = 0;
}

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

static void say_failed(struct upgrade *u, const char *why)
{
    log_msg(LOG_LEVEL_ERROR, "upgrade", "%s: %s; this program goes on", u->program, why);
    notify_send(&u->rt->notify, "STATUS=upgrade failed: %s", why);
}

/* The new program has not touched anything. */
static void give_up(struct upgrade *u, const char *why)
{
    say_failed(u, why);
    kill_child(u);
    close_handle(u, (uv_handle_t *)&u->poll);
    close_handle(u, (uv_handle_t *)&u->patience);
    close_handle(u, (uv_handle_t *)&u->process);
    close_handle(u, (uv_handle_t *)&u->idle);
    close(u->sock);
    u->sock = -1;
    let_signals_come(u);
}

void upgrade_cancel(struct upgrade *u, const char *why)
{
    if (u->busy && u->sock != -1)
        give_up(u, why);
}

static void on_child_exit(uv_process_t *process, int64_t status, int signal_number)
{
    struct upgrade *u = process->data;
    char why[80];
    u->pid = 0;
    if (u->sock == -1)
        return;
    if (signal_number != 0)
        snprintf(why, sizeof why, "the new program was ended by signal %d", signal_number);
    else
        snprintf(why, sizeof why, "the new program ended with status %" PRId64, status);
    give_up(u, why);
}

static void on_patience(uv_timer_t *timer)
{
    give_up(timer->data, "the new program does not come up");
}

static void on_dead_wanted(void *arg)
{
    kill_child(arg);
}

static void pass_signals_on(int pid)
{
    sigset_t pending;
    sigpending(&pending);
    for (size_t i = 0; i < OUR_SIGNALS; i++)
        if (sigismember(&pending, our_signals[i]) == 1)
            kill(pid, our_signals[i]);
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
    int pid = u->pid;
    if (bequest_run(u->rt, u->sock, on_dead_wanted, u, &result) < 0) {
        give_up_handover(u, &result);
        return;
    }
    log_msg(LOG_LEVEL_NOTICE, "upgrade",
            "process %d has taken over, with %" PRIu64 " sessions; nothing moved for %" PRIu64
            " us",
            pid, result.sessions, result.paused_us);
    notify_send(&u->rt->notify, "MAINPID=%d", pid);
    pass_signals_on(pid);
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

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct upgrade *u = poll->data;
    (void)events;
    struct parcel *p = malloc(sizeof *p);
    int rc = p == NULL    ? -ENOMEM
             : status < 0 ? status
                          : parcel_receive(u->sock, p, PARCEL_PATIENCE);
    bool up = rc == 0 && p->type == PARCEL_ACCEPT;
    free(p);
    if (up)
        prepare_to_hand_over(u);
    else if (rc == -EPROTONOSUPPORT)
        give_up(u, "the new program speaks another version of the handover");
    else if (rc != -EPIPE) /* that one ends: its status says more */
        give_up(u, rc < 0 ? strerror(-rc) : "the new program talks nonsense");
    else
        uv_poll_stop(&u->poll);
}

static int spawn(struct upgrade *u, int child)
{
    char variable[64];
    size_t count = 0;
    while (environ[count] != NULL)
        count++;
    char **env = calloc(count + 2, sizeof(char *));
    if (env == NULL)
        return UV_ENOMEM;
    memcpy(env, environ, count * sizeof(char *));
    snprintf(variable, sizeof variable, HEIR_ENVIRONMENT "=%d", CHILD_FD);
    env[count] = variable;
    uv_stdio_container_t stdio[CHILD_FD + 1];
    for (int i = 0; i <= CHILD_FD; i++) {
        stdio[i].flags = UV_INHERIT_FD;
        stdio[i].data.fd = i == CHILD_FD ? child : i;
    }
    const uv_process_options_t options = {
        .exit_cb = on_child_exit,
        .file = u->program,
        .args = (char **)u->argv,
        .env = env,
        .stdio_count = CHILD_FD + 1,
        .stdio = stdio,
    };
    crew_share(&u->rt->crew, true);
    int rc = uv_spawn(u->rt->loop, &u->process, &options); /* returns after execve(2) */
    crew_share(&u->rt->crew, false);
    free(env);
    return rc;
}

/* libuv makes the socket non-blocking, which a handover is not: it has a patience of its own. */
static void open_handles(struct upgrade *u)
{
    uv_poll_init(u->rt->loop, &u->poll, u->sock); /* cannot fail with a socket of this kind */
    uv_timer_init(u->rt->loop, &u->patience);
    uv_idle_init(u->rt->loop, &u->idle);
    u->process.data = u->poll.data = u->patience.data = u->idle.data = u;
}

static void begin(struct upgrade *u, int child)
{
    open_handles(u);
    int rc = spawn(u, child);
    if (rc < 0) {
        give_up(u, uv_strerror(rc));
        return;
    }
    u->pid = u->process.pid;
    uv_poll_start(&u->poll, UV_READABLE, on_readable);
    uv_timer_start(&u->patience, on_patience, PATIENCE_MS, 0);
}

void upgrade_start(struct upgrade *u)
{
    int pair[2];
    const char *why = u->busy              ? "another upgrade is under way"
                      : u->rt->draining    ? "zproxy is draining"
                      : u->program == NULL ? "its program is unknown, /proc is not there"
                                           : NULL;
    if (why != NULL) {
        log_msg(LOG_LEVEL_WARNING, "upgrade", "not now: %s", why);
        return;
    }
    log_msg(LOG_LEVEL_NOTICE, "upgrade", "starting %s", u->program);
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == -1) {
        say_failed(u, strerror(errno));
        return;
    }
    u->busy = true;
    u->sock = pair[0];
    begin(u, pair[1]);
    close(pair[1]);
}
