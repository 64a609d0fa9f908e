#include <poll.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "control/notify.h"
#include "handover/handover_send.h"
#include "handover/spawn.h"
#include "metrics/web.h"
#include "program/proxy.h"
#include "program/proxy_internal.h"

#define FINISH_STEP_MS  2   /* between two attempts to send the last answers */
#define MANAGER_STEP_MS 2   /* between two looks at the service manager's answer */
#define REST_STEP_MS    100 /* between two looks at sessions that stayed, or at the new process */

/* Sessions are not closed one by one: the new process has their sockets open, and shutdown(2) or
 * unlink(2) here would end connections or remove sockets that it uses. Listening sockets are
 * closed: while one is open here, the kernel accepts clients at an address that the new process has
 * given up. Worker threads stay blocked in handover_send(), unless they have sessions that stayed.
 * Control's loop has ended. */
struct rest {
    struct proxy *p;
    /* The service manager may take this process for the main one, and send it signals that are for
     * the new one. */
    bool is_main;
    bool ending;       /* such a signal was one to end */
    bool alone;        /* the new process has ended before the manager knew of it */
    bool serves;       /* sessions have stayed, and the log is open for them */
    uint64_t told;     /* how many of them the new process knows of */
    uint64_t deadline; /* their shutdown_timeout, in ns */
};

/* ---- clients of control ---- */

/* Sends the answers to requests that this process has read, except to clients that do not read. */
static void finish_answers(struct proxy *p)
{
    uint64_t deadline = uv_hrtime() + UINT64_C(1000000) * NOTIFY_FLUSH_MS;
    for (;;) {
        bool more = admin_finish(p->rt.admin);
        more |= http_finish(p->rt.http);
        if (!more || uv_hrtime() >= deadline)
            return;
        uv_sleep(FINISH_STEP_MS);
    }
}

static void close_command_client(uv_handle_t *handle, void *arg)
{
    uv_os_fd_t fd = -1;
    (void)arg;
    if (handle->type == UV_NAMED_PIPE && uv_fileno(handle, &fd) == 0)
        close(fd);
}

/* Clients of control must not wait for this process, and an address that the new process gives up
 * must not stay open here. The loop is not used any more, so its handles need not be closed. */
static void close_control(struct proxy *p)
{
    struct addr at;
    struct file_id file;
    int fd = admin_socket(p->rt.admin, &at, &file);
    if (fd != -1)
        close(fd);
    uv_walk(&p->loop, close_command_client, NULL);
    web_fini(&p->rt);
}

/* ---- signals ---- */

static const int rest_signals[] = { SIGTERM, SIGINT, SIGUSR1, SIGHUP, SIGUSR2 };

/* Waits for a signal. Returns its number; 0: none has come. */
static int wait_signal(unsigned ms)
{
    const struct timespec time = { .tv_nsec = ms * 1000000L };
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof rest_signals / sizeof *rest_signals; i++)
        sigaddset(&set, rest_signals[i]);
    int number = sigtimedwait(&set, NULL, &time);
    return number > 0 ? number : 0;
}

/* As in a process that drains, a second signal to end resets the sessions. */
static void on_rest_signal(struct rest *r, int number)
{
    bool ends = number == SIGTERM || number == SIGINT;
    if (r->serves && number == SIGUSR1)
        log_reopen();
    if (r->serves && ends && (!r->is_main || r->ending))
        proxy_abort_sessions(r->p, "a signal to end");
    if (!r->is_main)
        return;
    r->ending |= ends;
    spawn_signal(&r->p->upgrade.spawn, number);
}

/* Handles the signals that come within a time, or that have come. */
static void take_signals(struct rest *r, unsigned ms)
{
    int number = wait_signal(ms);
    for (; number != 0; number = wait_signal(0))
        on_rest_signal(r, number);
}

/* ---- what stays ---- */

/* As after TERM: the sessions have shutdown_timeout to end, and a signal resets them. The new
 * process answers commands and checks servers. The workers continue at once: their sessions are
 * paused since the handover began. */
static void rest_begin(struct rest *r)
{
    uint64_t timeout_ms = runtime_conf(&r->p->rt)->global.shutdown_timeout;
    r->deadline = timeout_ms == 0 ? UINT64_MAX : uv_hrtime() + timeout_ms * 1000000;
    r->p->rt.draining = true;
    handover_send_keep_rest();
}

static void rest_tell(struct rest *r)
{
    uint64_t left = conn_limit_used(&r->p->rt.conn_limit);
    if (left != r->told && handover_send_staying(r->p->upgrade.sock, left))
        r->told = left;
}

/* Waits for signals, and does what is due. */
static void rest_step(struct rest *r, unsigned ms)
{
    if (r->serves)
        rest_tell(r);
    take_signals(r, ms);
    if (r->serves && uv_hrtime() >= r->deadline) {
        proxy_abort_sessions(r->p, "shutdown_timeout has expired");
        r->deadline = UINT64_MAX;
    }
}

static void rest_close_log(struct rest *r)
{
    log_close();
    handover_send_log_loss(r->p->upgrade.sock, r->p->rt.log_dropped_sent);
    r->serves = false;
}

static void rest_serve(struct rest *r)
{
    struct proxy *p = r->p;
    while (!workers_have_finished(&p->rt.workers))
        rest_step(r, REST_STEP_MS);
    rest_tell(r); /* this process may stay for longer */
    workers_each(&p->rt.workers, worker_join);
    proxy_log_stopped(p);
    rest_close_log(r);
}

/* ---- the service manager ---- */

/* A signal to this process is lost when it has ended. So it stays until the manager has read
 * MAINPID=: every signal that the manager sent before is pending then. systemd ignores MAINPID=
 * while it stops a service, and kills every process of the service when the one that it takes for
 * the main one has ended: after a signal to end, this process stays main. A new process that has
 * ended never becomes main for it. */
static void await_manager(struct rest *r)
{
    struct notify *n = &r->p->rt.notify;
    uint64_t deadline = uv_hrtime() + UINT64_C(1000000) * NOTIFY_FLUSH_MS;
    int barrier = notify_barrier(n);
    bool has_read;
    do {
        has_read = barrier == -1 || notify_barrier_is_over(barrier) || uv_hrtime() >= deadline;
        r->alone = !has_read && !r->ending && !spawn_is_running(&r->p->upgrade.spawn);
        rest_step(r, has_read ? 0 : MANAGER_STEP_MS);
    } while (!has_read && !r->alone);
    if (barrier != -1)
        close(barrier);
    r->is_main = r->ending;
}

/* ---- the end ---- */

void proxy_on_handed_over(void *arg, int pid, uint64_t staying)
{
    struct proxy *p = arg;
    struct rest r = { .p = p, .is_main = true, .serves = staying > 0 };
    (void)pid;
    workers_reap(&p->rt.workers); /* those that had finished before */
    if (r.serves)
        rest_begin(&r);
    else
        workers_each(&p->rt.workers, worker_abandon_listeners);
    finish_answers(p);
    notify_flush(&p->rt.notify, NOTIFY_FLUSH_MS);
    close_control(p);
    if (!r.serves) /* at once: the lines of the new process come behind */
        rest_close_log(&r);
    await_manager(&r);
    if (r.serves)
        rest_serve(&r);
    while (r.ending && spawn_is_running(&p->upgrade.spawn))
        take_signals(&r, REST_STEP_MS);
    _exit(r.alone ? PROXY_CANNOT_START : PROXY_ENDED); /* a failure, so that it is started again */
}
