#include "program/proxy.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/deadline.h"
#include "base/log.h"
#include "base/safe_open.h"
#include "build.h"
#include "command/commands.h"
#include "control/config_change.h"
#include "control/health_checks.h"
#include "control/names.h"
#include "control/reload.h"
#include "control/runtime.h"
#include "control/watchdog.h"
#include "handover/handover_receive.h"
#include "handover/handover_send.h"
#include "handover/upgrade.h"
#include "metrics/web.h"
#include "program/signals.h"
#include "relay/relay_stock.h"

#define DRAIN_STATUS_MS  1000 /* while draining */
#define STALLED_EXTRA_MS 1000 /* for sessions to end after the process was stopped */
#define NOTIFY_FLUSH_MS  5000 /* at the end, for a service manager whose queue is full */
#define FINISH_STEP_MS   2    /* between two looks at clients whose answers are not sent yet */
#define DESCRIPTORS_MIN  16   /* less cannot even be refused in words */

struct proxy {
    struct runtime rt;
    struct upgrade upgrade;
    struct watchdog watchdog;
    const char *pid_file;           /* from the command line, or NULL */
    int handover_sock;              /* the socket to take over through; -1: an ordinary start */
    struct log_loss_watch log_loss; /* what the process before has lost of its logs */
    struct config *conf;            /* until it is in force */
    uv_loop_t loop;
    uv_async_t finished_async;
    uv_async_t room_async;    /* a limit was reached, and there is room again */
    struct deadline deadline; /* shutdown_timeout */
    bool deadline_extended;
    uint64_t shutdown_spread_ms; /* ms; 0: sessions are not closed one after the other */
    uv_timer_t status;
    struct signals signals;
    bool workers_joined; /* the workers have been joined */
};

/* For the old program, where this one was to take over from it. */
static char start_error_text[1024];

/* One line for whoever started us; the log may be elsewhere, or not open yet. */
static int __attribute__((format(printf, 1, 2))) proxy_start_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(start_error_text, sizeof start_error_text, fmt, args);
    va_end(args);
    fprintf(stderr, "zproxy: %s\n", start_error_text);
    return -1;
}

static const char *lookup_strerror(int rc)
{
    return rc == -ENOENT ? "no such name on this machine" : strerror(-rc);
}

/* ---- start ---- */

static int open_log(struct proxy *p)
{
    const struct config_global *g = &p->conf->global;
    const struct log_settings settings = {
        .log = g->fixed.log,
        .access = g->fixed.access_log,
        .level = g->log_level,
        .format = g->fixed.log_format,
        .owner = p->rt.privileges.uid,
        .group = p->rt.privileges.gid,
    };
    const char *failed = NULL;
    int rc = log_open(&settings, &failed);
    bool access = failed != NULL && failed == g->fixed.access_log.path;
    if (rc < 0)
        return proxy_start_error("[global] %s: %s: %s", access ? "access_log" : "log",
                                 failed != NULL ? failed : "?", safe_open_strerror(rc));
    return 0;
}

/* Once privileges are dropped: a thread of its own would keep some of them. */
static int start_log(void)
{
    int rc = log_start();
    return rc < 0 ? proxy_start_error("[global] log: %s", strerror(-rc)) : 0;
}

static int lookup_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_find(&p->rt.privileges, &p->conf->global, &key);
    return rc < 0 ? proxy_start_error("[global] %s: %s", key, lookup_strerror(rc)) : 0;
}

/* From any thread. */
static void on_conn_limit_wake(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->room_async);
}

static void on_room(uv_async_t *async)
{
    struct proxy *p = async->data;
    workers_each(&p->rt.workers, worker_wake);
}

static void on_worker_finished(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->finished_async);
}

static bool on_keeps_pool(void *arg, const struct pool *p)
{
    return config_change_uses_pool(arg, p);
}

static bool on_tidy_pools(void *arg)
{
    return config_change_cleanup(arg);
}

static void init_runtime(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    const struct config_global *g = &p->conf->global;
    struct worker_setup setup = {
        .splice = g->fixed.relay == CONFIG_RELAY_SPLICE,
        .pipe_size = (int)g->fixed.pipe_size,
        .quota = &rt->quota,
        .grace = &rt->grace,
        .last_session_id = &rt->last_session_id,
        .finished = on_worker_finished,
        .accept_paused = accept_watch_report,
        .accept_paused_arg = &rt->accept_watch,
        .arg = p,
    };
    worker_setup_busy_poll(&setup, g->fixed.busy_poll);
    rt->loop = &p->loop;
    rt->pools.kept = on_keeps_pool;
    rt->pools.cleaned_up = on_tidy_pools;
    rt->pools.arg = rt;
    conn_limit_init(&rt->conn_limit, 0, on_conn_limit_wake, p);
    workers_init(&rt->workers, &setup, g->fixed.cpu_affinity);
}

static int init_pid_file(struct proxy *p)
{
    const char *path = p->pid_file != NULL ? p->pid_file : p->conf->global.fixed.pid_file;
    return pid_file_init(&p->rt.pid_file, path) < 0 ? proxy_start_error("out of memory") : 0;
}

static int open_checks(struct proxy *p)
{
    int rc = health_checks_open(&p->rt);
    return rc < 0 ? proxy_start_error("health checks: %s", strerror(-rc)) : 0;
}

static int open_commands(struct proxy *p)
{
    int rc = commands_open(&p->rt);
    return rc < 0 ? proxy_start_error("control socket: %s", strerror(-rc)) : 0;
}

static int open_web(struct proxy *p)
{
    int rc = web_open(&p->rt);
    return rc < 0 ? proxy_start_error("status page: %s", strerror(-rc)) : 0;
}

static int apply_first_config(struct proxy *p, FILE *errors)
{
    struct config_change *config_change = NULL;
    struct config *conf = p->conf;
    p->conf = NULL;
    int rc = config_change_prepare(&p->rt, conf, errors, &config_change);
    if (rc == 0)
        config_change_commit(config_change);
    return rc;
}

/* The first configuration is a change from nothing; or what another process had in force. */
static int proxy_apply_config(struct proxy *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *errors = open_memstream(&text, &size);
    int rc = -1;
    if (errors != NULL) {
        rc = p->handover_sock == -1 ? apply_first_config(p, errors)
                                    : handover_receive(&p->rt, p->handover_sock, p->conf, errors);
        fclose(errors);
    }
    if (rc < 0)
        proxy_start_error("%.*s", (int)strcspn(text == NULL ? "" : text, "\n"),
                          text == NULL ? "out of memory" : text);
    free(text);
    return rc;
}

/* After an upgrade the file on disk may say other than what was in force: then that comes now. */
static void reload_after_handover(struct proxy *p)
{
    if (p->handover_sock == -1)
        return;
    log_loss_watch_start(&p->log_loss, &p->loop, p->handover_sock);
    reload_if_changed(&p->rt, p->conf);
}

static int drop_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_drop(&p->rt.privileges, runtime_conf(&p->rt), &key);
    return rc < 0 ? proxy_start_error("[global] %s: %s", key, strerror(-rc)) : 0;
}

static int start_workers(struct proxy *p)
{
    int rc = workers_start(&p->rt.workers);
    p->rt.relaying = rc == 0;
    return rc < 0 ? proxy_start_error("[global] workers: %s", strerror(-rc)) : 0;
}

/* ---- control: signals, drain ---- */

static uint64_t session_count(struct proxy *p)
{
    return conn_limit_used(&p->rt.conn_limit);
}

static void proxy_abort_sessions(struct proxy *p, const char *why)
{
    log_msg(LOG_LEVEL_NOTICE, "shutdown", "%s: %" PRIu64 " sessions are reset", why,
            session_count(p));
    workers_each(&p->rt.workers, worker_abort);
}

/* Where the process had been stopped until then, sessions that end meanwhile may do so. */
static void on_shutdown_timeout(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    bool more = p->deadline.late && !p->deadline_extended;
    p->deadline_extended |= more;
    if (more)
        deadline_start(&p->deadline, on_shutdown_timeout, STALLED_EXTRA_MS);
    else
        proxy_abort_sessions(p, "shutdown_timeout is over");
}

static void on_drain_status(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    notify_send(&p->rt.notify, "STATUS=draining, %" PRIu64 " sessions left", session_count(p));
}

/* timeout: ms; 0: however long it takes. */
static void proxy_drain(struct proxy *p, const char *who, uint64_t timeout)
{
    p->rt.draining = true;
    accept_watch_stop(&p->rt.accept_watch);
    upgrade_cancel(&p->upgrade, "zproxy is draining");
    log_msg(LOG_LEVEL_NOTICE, "drain", "%s: no new sessions, %" PRIu64 " to finish", who,
            session_count(p));
    notify_send(&p->rt.notify, "STOPPING=1\nSTATUS=draining, %" PRIu64 " sessions left",
                session_count(p));
    names_wait_stop(&p->rt.names);
    workers_each(&p->rt.workers, worker_drain);
    if (timeout != 0)
        deadline_start(&p->deadline, on_shutdown_timeout, timeout);
    uv_timer_start(&p->status, on_drain_status, DRAIN_STATUS_MS, DRAIN_STATUS_MS);
}

static void drain_pool_servers(void *arg, struct pool *pool)
{
    struct proxy *p = arg;
    size_t count = 0;
    struct server *const *servers = pool_servers(pool, &count);
    for (size_t i = 0; i < count; i++)
        if (drains_start(&p->rt.drains, pool, servers[i], p->shutdown_spread_ms) < 0)
            log_msg(LOG_LEVEL_ERROR, "drain", "[pool %s]: out of memory: sessions end at the end",
                    pool_name(pool));
}

/* What is on no server then, and what has come late, has the same time. */
static void on_shutdown_command(void *arg, uint64_t over)
{
    struct proxy *p = arg;
    p->shutdown_spread_ms = over;
    proxy_drain(p, "zproxyctl", over != 0 ? over : runtime_conf(&p->rt)->global.shutdown_timeout);
    if (over != 0)
        pools_each(&p->rt.pools, drain_pool_servers, p);
}

static void proxy_reload(struct proxy *p)
{
    char *text = NULL;
    reload_file(&p->rt, &text);
    free(text);
}

static void on_proxy_signal(void *arg, int number)
{
    struct proxy *p = arg;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        if (p->rt.draining)
            proxy_abort_sessions(p, "told to end a second time");
        else
            proxy_drain(p, number == SIGTERM ? "SIGTERM" : "SIGINT",
                        runtime_conf(&p->rt)->global.shutdown_timeout);
        break;
    case SIGUSR1:
        log_reopen();
        break;
    case SIGHUP:
        proxy_reload(p);
        break;
    case SIGUSR2:
        upgrade_start(&p->upgrade);
        break;
    default:
        break;
    }
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Whatever workers can wake is there until they have ended, so these come first, then what has been
 * asked of them is answered. With every handle closed uv_run() returns. */
static void stop_loop(struct proxy *p)
{
    workers_stop(&p->rt.workers);
    scan_replies_drain(&p->rt.scan_replies);
    signals_close(&p->signals);
    names_close(&p->rt.names);
    health_checks_close(&p->rt);
    uv_walk(&p->loop, close_handle, NULL);
}

static void on_answers_sent(uv_timer_t *timer)
{
    stop_loop(timer->data);
}

/* The answers of what has been asked of all sessions have a turn of the loop to be sent. */
static void proxy_finish(struct proxy *p)
{
    if (p->workers_joined)
        return;
    p->workers_joined = true;
    workers_stop(&p->rt.workers);
    scan_replies_drain(&p->rt.scan_replies);
    deadline_start(&p->deadline, on_answers_sent, 0);
}

static void on_finished(uv_async_t *async)
{
    struct proxy *p = async->data;
    pools_schedule_cleanup(&p->rt.pools);
    if (p->rt.draining && workers_have_finished(&p->rt.workers))
        proxy_finish(p);
}

static int proxy_open_handles(struct proxy *p)
{
    int rc = uv_async_init(&p->loop, &p->finished_async, on_finished);
    if (rc == 0)
        rc = uv_async_init(&p->loop, &p->room_async, on_room);
    deadline_init(&p->deadline, &p->loop);
    uv_timer_init(&p->loop, &p->status);
    notify_init(&p->rt.notify, &p->loop);
    names_init(&p->rt.names, &p->loop);
    if (rc == 0)
        rc = pools_init(&p->rt.pools, &p->loop, &p->rt.grace);
    if (rc == 0)
        rc = accept_watch_init(&p->rt.accept_watch, &p->loop, &p->rt.listener_states,
                               &p->rt.conn_limit);
    if (rc == 0)
        rc = watchdog_init(&p->watchdog, &p->loop, &p->rt.workers, &p->rt.notify);
    p->finished_async.data = p->room_async.data = p->deadline.timer.data = p->status.data = p;
    if (rc == 0)
        rc = signals_open(&p->signals, &p->loop, on_proxy_signal, p);
    return rc;
}

static void close_loop(struct proxy *p)
{
    stop_loop(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
}

/* libuv ends the process where it has no descriptors for the pipe of its signals. */
static int open_loop(struct proxy *p)
{
    p->rt.descriptors = budget_raise_descriptors();
    if (p->rt.descriptors < DESCRIPTORS_MIN)
        return proxy_start_error("descriptors: the limit is %" PRIu64
                                 ", expected %d or more (ulimit -n)",
                                 p->rt.descriptors, DESCRIPTORS_MIN);
    int rc = uv_loop_init(&p->loop);
    if (rc == 0 && (rc = proxy_open_handles(p)) < 0)
        close_loop(p);
    return rc < 0 ? proxy_start_error("event loop: %s", uv_strerror(rc)) : 0;
}

/* ---- the whole of it ---- */

static void log_started(struct proxy *p)
{
    const struct budget *b = &p->rt.budget;
    const struct config_global *g = &runtime_conf(&p->rt)->global;
    bool splice = g->fixed.relay == CONFIG_RELAY_SPLICE;
    struct log_line line;
    log_begin(&line, LOG_LEVEL_NOTICE, "start");
    log_str(&line, "version", PACKAGE_VERSION);
    log_uint(&line, "pid", (uint64_t)getpid());
    log_uint(&line, "workers", b->workers);
    log_str(&line, "relay", splice && relay_stock_can_splice() ? "splice" : "copy");
    log_uint(&line, "max_sessions", b->sessions);
    log_uint(&line, "max_pipes", b->pipes);
    log_end(&line);
    if (splice && !relay_stock_can_splice())
        relay_stock_log_fallback(RELAY_REFUSED, "this build or kernel cannot splice sockets");
    if (g->max_connections > b->sessions)
        log_msg(LOG_LEVEL_WARNING, "budget",
                "max_connections = %" PRIu64 ", but %" PRIu64 " descriptors are enough for %" PRIu64
                " only; zproxy -t tells what to raise",
                g->max_connections, b->descriptors, b->sessions);
    privileges_warn(runtime_conf(&p->rt));
    listen_sockets_log_unused(&p->rt.listen_sockets);
    notify_ready(&p->rt.notify, b->workers, p->handover_sock != -1);
}

static void log_stopped(struct proxy *p)
{
    struct worker_totals sum;
    struct log_line line;
    workers_totals(&p->rt.workers, &sum);
    log_begin(&line, LOG_LEVEL_NOTICE, "stop");
    log_uint(&line, "sessions", sum.sessions);
    log_uint(&line, "spliced", worker_totals_bytes(&sum, RELAY_SPLICE));
    log_uint(&line, "copied", worker_totals_bytes(&sum, RELAY_COPY));
    log_uint(&line, "fallbacks", worker_totals_fallbacks(&sum));
    log_end(&line);
}

static int proxy_prepare(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    if (lookup_privileges(p) < 0 || init_pid_file(p) < 0 || open_log(p) < 0)
        return -1;
    init_runtime(p);
    rt->shut_down = on_shutdown_command;
    rt->shut_down_arg = p;
    rt->watchdog = &p->watchdog;
    if (open_checks(p) < 0 || open_commands(p) < 0 || open_web(p) < 0)
        return -1;
    if (p->handover_sock != -1 && start_log() < 0) /* what can fail does before it takes over */
        return -1;
    if (proxy_apply_config(p) < 0)
        return -1;
    atomic_fetch_add(&rt->quota.left, (int64_t)rt->budget.pipes); /* less what came over in use */
    notify_open(&rt->notify);
    if (p->handover_sock != -1) /* they were dropped by the one before */
        return 0;
    int rc = pid_file_write(&rt->pid_file);
    if (rc < 0)
        return proxy_start_error("[global] pid_file: %s: %s", rt->pid_file.path,
                                 safe_open_strerror(rc));
    return drop_privileges(p);
}

/* Nothing is left behind that would keep the next start from binding, where we still may. */
static void remove_files(struct proxy *p)
{
    pid_file_remove(&p->rt.pid_file);
    listen_sockets_unlink(&p->rt.listen_sockets);
    admin_unlink(p->rt.admin);
    http_unlink(p->rt.http);
}

static void proxy_fini(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    struct generation *g;
    watchdog_fini(&p->watchdog);
    log_loss_watch_fini(&p->log_loss);
    commands_fini(rt);
    web_fini(rt);
    workers_fini(&rt->workers);
    listen_sockets_fini(&rt->listen_sockets);
    grace_fini(&rt->grace);
    pools_fini(&rt->pools);
    while ((g = LIST_FIRST(&rt->generations)) != NULL) {
        LIST_REMOVE(g, in_all);
        generation_free(g);
    }
    generation_free(rt->current);
    reload_clear_failure(rt);
    config_free(p->conf);
    notify_flush(&rt->notify, NOTIFY_FLUSH_MS);
    notify_close(&rt->notify);
    pid_file_fini(&rt->pid_file);
    log_close();
}

/* Sessions move again by now, and nobody has been told yet who has them. */
static void replace_pid_file(struct proxy *p)
{
    struct pid_file *f = &p->rt.pid_file;
    int rc = p->handover_sock == -1 ? 0 : pid_file_write(f);
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "pid_file", "%s: %s: it has the number of the process before",
                f->path, safe_open_strerror(rc));
}

static void run_until_stopped(struct proxy *p)
{
    replace_pid_file(p);
    log_started(p);
    watchdog_start(&p->watchdog);
    reload_after_handover(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    log_stopped(p);
}

/* Every question that was asked here has an answer, unless its client does not read. */
static void finish_answers(struct proxy *p)
{
    uint64_t proxy_finish = uv_hrtime() + UINT64_C(1000000) * NOTIFY_FLUSH_MS;
    for (;;) {
        bool more = admin_finish(p->rt.admin);
        more |= http_finish(p->rt.http);
        if (!more || uv_hrtime() >= proxy_finish)
            return;
        uv_sleep(FINISH_STEP_MS);
    }
}

/* The new process has everything: what is closed here by the end of the process is open there. */
static void on_handed_over(void *arg, int pid)
{
    struct proxy *p = arg;
    (void)pid;
    workers_reap(&p->rt.workers); /* those that had finished before */
    finish_answers(p);
    notify_flush(&p->rt.notify, NOTIFY_FLUSH_MS);
    log_close();
    handover_send_log_loss(p->upgrade.sock, p->rt.log_dropped_sent);
    _exit(PROXY_ENDED);
}

static void proxy_init(struct proxy *p, const struct proxy_setup *setup)
{
    memset(p, 0, sizeof *p);
    p->conf = setup->conf;
    p->pid_file = setup->pid_file;
    p->handover_sock = handover_receive_socket();
    if (p->handover_sock != -1)
        privileges_set_dumpable(false); /* until it is known how the process before was */
    p->rt.file = setup->file;
    p->rt.pid_file.fd = -1;
    p->log_loss.sock = -1;
    p->rt.began = uv_hrtime() / 1000000;
    grace_init(&p->rt.grace);
    listen_sockets_init(&p->rt.listen_sockets);
    if (inherited_init(&p->rt.listen_sockets.inherited) < 0)
        fprintf(stderr, "zproxy: out of memory: not all of systemd's sockets are known\n");
    LIST_INIT(&p->rt.listener_states);
    LIST_INIT(&p->rt.generations);
    if (upgrade_init(&p->upgrade, &p->rt, setup->argv, on_handed_over, p) < 0)
        fprintf(stderr, "zproxy: /proc is not there: no upgrades\n");
}

enum proxy_status proxy_run(const struct proxy_setup *setup)
{
    struct proxy p;
    enum proxy_status status = PROXY_CANNOT_START;
    proxy_init(&p, setup);
    if (open_loop(&p) < 0) {
        config_free(p.conf);
        listen_sockets_fini(&p.rt.listen_sockets);
        upgrade_fini(&p.upgrade);
        return status;
    }
    if (proxy_prepare(&p) == 0 && (p.handover_sock != -1 || start_log() == 0)) {
        if (p.handover_sock == -1) /* otherwise it has what the one before knew */
            names_wait(&p.rt.names);
        if (p.rt.draining) {
            status = PROXY_ENDED;
        } else if (start_workers(&p) == 0) {
            run_until_stopped(&p);
            status = PROXY_ENDED;
        }
    } else if (p.handover_sock != -1) {
        handover_receive_refuse(p.handover_sock, start_error_text);
        _exit(status); /* the other process goes on with all that we have open */
    }
    remove_files(&p);
    close_loop(&p);
    proxy_fini(&p);
    upgrade_fini(&p.upgrade);
    return status;
}
