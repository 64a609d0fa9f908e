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
#include "command/console.h"
#include "control/change.h"
#include "control/checks.h"
#include "control/names.h"
#include "control/reload.h"
#include "control/runtime.h"
#include "control/watchdog.h"
#include "metrics/web.h"
#include "program/signals.h"
#include "relay/mover.h"
#include "upgrade/heir.h"
#include "upgrade/log_loss.h"
#include "upgrade/upgrade.h"

#define STATUS_MS       1000 /* while draining */
#define STALLED_MS      1000 /* for sessions to end after the process was stopped */
#define LAST_WORDS_MS   5000 /* at the end, for a service manager whose queue is full */
#define FINISH_STEP_MS  2    /* between two looks at clients whose answers are not sent yet */
#define DESCRIPTORS_MIN 16   /* less cannot even be refused in words */

struct proxy {
    struct runtime rt;
    struct upgrade upgrade;
    struct watchdog watchdog;
    const char *pid_file;           /* from the command line, or NULL */
    int heir;                       /* the socket to take over through; -1: an ordinary start */
    struct log_loss_watch log_loss; /* what the process before has lost of its logs */
    struct config *conf;            /* until it is in force */
    uv_loop_t loop;
    uv_async_t on_finished;
    uv_async_t on_room;       /* a limit was reached, and there is room again */
    struct deadline deadline; /* shutdown_timeout */
    bool deadline_extended;
    uint64_t shutdown_over; /* ms; 0: sessions are not closed one after the other */
    uv_timer_t status;
    struct signals signals;
    bool has_ended; /* the workers have been joined */
};

/* For the old program, where this one was to take over from it. */
static char cannot_start_why[1024];

/* One line for whoever started us; the log may be elsewhere, or not open yet. */
static int __attribute__((format(printf, 1, 2))) cannot_start(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(cannot_start_why, sizeof cannot_start_why, fmt, args);
    va_end(args);
    fprintf(stderr, "zproxy: %s\n", cannot_start_why);
    return -1;
}

static const char *reason(int rc)
{
    return rc == -ENOENT ? "no such name on this machine" : strerror(-rc);
}

/* ---- start ---- */

static int open_log(struct proxy *p)
{
    const struct config_global *g = &p->conf->global;
    const struct log_settings settings = {
        .log = g->log,
        .access = g->access_log,
        .level = g->log_level,
        .format = g->log_format,
        .owner = p->rt.privileges.uid,
        .group = p->rt.privileges.gid,
    };
    const char *failed = NULL;
    int rc = log_open(&settings, &failed);
    bool access = failed != NULL && failed == g->access_log.path;
    if (rc < 0)
        return cannot_start("[global] %s: %s: %s", access ? "access_log" : "log",
                            failed != NULL ? failed : "?", safe_open_strerror(rc));
    return 0;
}

/* Once privileges are dropped: a thread of its own would keep some of them. */
static int start_log(void)
{
    int rc = log_start();
    return rc < 0 ? cannot_start("[global] log: %s", strerror(-rc)) : 0;
}

static int find_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_find(&p->rt.privileges, &p->conf->global, &key);
    return rc < 0 ? cannot_start("[global] %s: %s", key, reason(rc)) : 0;
}

/* From any thread. */
static void on_gate_wake(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->on_room);
}

static void on_room(uv_async_t *async)
{
    struct proxy *p = async->data;
    crew_each(&p->rt.crew, worker_wake);
}

static void on_worker_finished(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->on_finished);
}

static bool on_kept(void *arg, const struct pool *p)
{
    return change_keeps_pool(arg, p);
}

static bool on_tidied(void *arg)
{
    return change_tidy(arg);
}

static void set_up_runtime(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    const struct config_global *g = &p->conf->global;
    struct worker_setup setup = {
        .splice = g->relay == CONFIG_RELAY_SPLICE,
        .pipe_size = (int)g->pipe_size,
        .quota = &rt->quota,
        .grace = &rt->grace,
        .last_session_id = &rt->last_session_id,
        .finished = on_worker_finished,
        .accept_paused = accept_watch_report,
        .accept_paused_arg = &rt->accept_watch,
        .arg = p,
    };
    worker_setup_busy_poll(&setup, g->busy_poll);
    rt->loop = &p->loop;
    rt->pools.kept = on_kept;
    rt->pools.tidied = on_tidied;
    rt->pools.arg = rt;
    gate_init(&rt->gate, 0, on_gate_wake, p);
    crew_init(&rt->crew, &setup, g->cpu_affinity);
}

static int find_pid_file(struct proxy *p)
{
    const char *path = p->pid_file != NULL ? p->pid_file : p->conf->global.pid_file;
    return pid_file_init(&p->rt.pid_file, path) < 0 ? cannot_start("out of memory") : 0;
}

static int open_checks(struct proxy *p)
{
    int rc = checks_open(&p->rt);
    return rc < 0 ? cannot_start("health checks: %s", strerror(-rc)) : 0;
}

static int open_console(struct proxy *p)
{
    int rc = console_open(&p->rt);
    return rc < 0 ? cannot_start("control socket: %s", strerror(-rc)) : 0;
}

static int open_web(struct proxy *p)
{
    int rc = web_open(&p->rt);
    return rc < 0 ? cannot_start("status page: %s", strerror(-rc)) : 0;
}

static int begin_anew(struct proxy *p, FILE *errors)
{
    struct change *change = NULL;
    struct config *conf = p->conf;
    p->conf = NULL;
    int rc = change_prepare(&p->rt, conf, errors, &change);
    if (rc == 0)
        change_commit(change);
    return rc;
}

/* The first configuration is a change from nothing; or what another process had in force. */
static int put_in_force(struct proxy *p)
{
    char *text = NULL;
    size_t size = 0;
    FILE *errors = open_memstream(&text, &size);
    int rc = -1;
    if (errors != NULL) {
        rc = p->heir == -1 ? begin_anew(p, errors) : heir_run(&p->rt, p->heir, p->conf, errors);
        fclose(errors);
    }
    if (rc < 0)
        cannot_start("%.*s", (int)strcspn(text == NULL ? "" : text, "\n"),
                     text == NULL ? "out of memory" : text);
    free(text);
    return rc;
}

/* After an upgrade the file on disk may say other than what was in force: then that comes now. */
static void catch_up(struct proxy *p)
{
    if (p->heir == -1)
        return;
    log_loss_watch(&p->log_loss, &p->loop, p->heir);
    reload_if_changed(&p->rt, p->conf);
}

static int drop_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_drop(&p->rt.privileges, runtime_conf(&p->rt), &key);
    return rc < 0 ? cannot_start("[global] %s: %s", key, strerror(-rc)) : 0;
}

static int start_workers(struct proxy *p)
{
    int rc = crew_start(&p->rt.crew);
    p->rt.relaying = rc == 0;
    return rc < 0 ? cannot_start("[global] workers: %s", strerror(-rc)) : 0;
}

/* ---- control: signals, drain ---- */

static uint64_t sessions_now(struct proxy *p)
{
    return gate_inside(&p->rt.gate);
}

static void abort_sessions(struct proxy *p, const char *why)
{
    log_msg(LOG_LEVEL_NOTICE, "shutdown", "%s: %" PRIu64 " sessions are reset", why,
            sessions_now(p));
    crew_each(&p->rt.crew, worker_abort);
}

/* Where the process had been stopped until then, sessions that end meanwhile may do so. */
static void on_deadline(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    bool more = p->deadline.late && !p->deadline_extended;
    p->deadline_extended |= more;
    if (more)
        deadline_start(&p->deadline, on_deadline, STALLED_MS);
    else
        abort_sessions(p, "shutdown_timeout is over");
}

static void on_status(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    notify_send(&p->rt.notify, "STATUS=draining, %" PRIu64 " sessions left", sessions_now(p));
}

/* timeout: ms; 0: however long it takes. */
static void drain(struct proxy *p, const char *who, uint64_t timeout)
{
    p->rt.draining = true;
    accept_watch_stop(&p->rt.accept_watch);
    upgrade_cancel(&p->upgrade, "zproxy is draining");
    log_msg(LOG_LEVEL_NOTICE, "drain", "%s: no new sessions, %" PRIu64 " to finish", who,
            sessions_now(p));
    notify_send(&p->rt.notify, "STOPPING=1\nSTATUS=draining, %" PRIu64 " sessions left",
                sessions_now(p));
    names_wait_no_longer(&p->rt.names);
    crew_each(&p->rt.crew, worker_drain);
    if (timeout != 0)
        deadline_start(&p->deadline, on_deadline, timeout);
    uv_timer_start(&p->status, on_status, STATUS_MS, STATUS_MS);
}

static void empty_servers(void *arg, struct pool *pool)
{
    struct proxy *p = arg;
    size_t count = 0;
    struct backend *const *servers = pool_servers(pool, &count);
    for (size_t i = 0; i < count; i++)
        if (drains_begin(&p->rt.drains, pool, servers[i], p->shutdown_over) < 0)
            log_msg(LOG_LEVEL_ERROR, "drain", "[pool %s]: out of memory: sessions end at the end",
                    pool_name(pool));
}

/* What is on no server then, and what has come late, has the same time. */
static void on_shut_down(void *arg, uint64_t over)
{
    struct proxy *p = arg;
    p->shutdown_over = over;
    drain(p, "zproxyctl", over != 0 ? over : runtime_conf(&p->rt)->global.shutdown_timeout);
    if (over != 0)
        pools_each(&p->rt.pools, empty_servers, p);
}

static void reload(struct proxy *p)
{
    char *text = NULL;
    reload_file(&p->rt, &text);
    free(text);
}

static void on_signal(void *arg, int number)
{
    struct proxy *p = arg;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        if (p->rt.draining)
            abort_sessions(p, "told to end a second time");
        else
            drain(p, number == SIGTERM ? "SIGTERM" : "SIGINT",
                  runtime_conf(&p->rt)->global.shutdown_timeout);
        break;
    case SIGUSR1:
        log_reopen();
        break;
    case SIGHUP:
        reload(p);
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
    crew_stop(&p->rt.crew);
    survey_desk_settle(&p->rt.desk);
    signals_close(&p->signals);
    names_close(&p->rt.names);
    checks_close(&p->rt);
    uv_walk(&p->loop, close_handle, NULL);
}

static void on_answered(uv_timer_t *timer)
{
    stop_loop(timer->data);
}

/* The answers of what has been asked of all sessions have a turn of the loop to be sent. */
static void end(struct proxy *p)
{
    if (p->has_ended)
        return;
    p->has_ended = true;
    crew_stop(&p->rt.crew);
    survey_desk_settle(&p->rt.desk);
    deadline_start(&p->deadline, on_answered, 0);
}

static void on_finished(uv_async_t *async)
{
    struct proxy *p = async->data;
    pools_stir(&p->rt.pools);
    if (p->rt.draining && crew_has_finished(&p->rt.crew))
        end(p);
}

static int open_handles(struct proxy *p)
{
    int rc = uv_async_init(&p->loop, &p->on_finished, on_finished);
    if (rc == 0)
        rc = uv_async_init(&p->loop, &p->on_room, on_room);
    deadline_init(&p->deadline, &p->loop);
    uv_timer_init(&p->loop, &p->status);
    notify_init(&p->rt.notify, &p->loop);
    names_init(&p->rt.names, &p->loop);
    if (rc == 0)
        rc = pools_init(&p->rt.pools, &p->loop, &p->rt.grace);
    if (rc == 0)
        rc = accept_watch_init(&p->rt.accept_watch, &p->loop, &p->rt.entrances, &p->rt.gate);
    if (rc == 0)
        rc = watchdog_init(&p->watchdog, &p->loop, &p->rt.crew, &p->rt.notify);
    p->on_finished.data = p->on_room.data = p->deadline.timer.data = p->status.data = p;
    if (rc == 0)
        rc = signals_open(&p->signals, &p->loop, on_signal, p);
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
        return cannot_start("descriptors: the limit is %" PRIu64
                            ", expected %d or more (ulimit -n)",
                            p->rt.descriptors, DESCRIPTORS_MIN);
    int rc = uv_loop_init(&p->loop);
    if (rc == 0 && (rc = open_handles(p)) < 0)
        close_loop(p);
    return rc < 0 ? cannot_start("event loop: %s", uv_strerror(rc)) : 0;
}

/* ---- the whole of it ---- */

static void say_started(struct proxy *p)
{
    const struct budget *b = &p->rt.budget;
    const struct config_global *g = &runtime_conf(&p->rt)->global;
    bool splice = g->relay == CONFIG_RELAY_SPLICE;
    struct log_line line;
    log_begin(&line, LOG_LEVEL_NOTICE, "start");
    log_str(&line, "version", PACKAGE_VERSION);
    log_uint(&line, "pid", (uint64_t)getpid());
    log_uint(&line, "workers", b->workers);
    log_str(&line, "relay", splice && mover_can_splice() ? "splice" : "copy");
    log_uint(&line, "max_sessions", b->sessions);
    log_uint(&line, "max_pipes", b->pipes);
    log_end(&line);
    if (splice && !mover_can_splice())
        mover_say_fallback(MOVER_REFUSED, "this build or kernel cannot splice sockets");
    if (g->max_connections > b->sessions)
        log_msg(LOG_LEVEL_WARNING, "budget",
                "max_connections = %" PRIu64 ", but %" PRIu64 " descriptors are enough for %" PRIu64
                " only; zproxy -t tells what to raise",
                g->max_connections, b->descriptors, b->sessions);
    privileges_warn(runtime_conf(&p->rt));
    sockets_say_unused(&p->rt.sockets);
    notify_ready(&p->rt.notify, b->workers, p->heir != -1);
}

static void say_stopped(struct proxy *p)
{
    struct worker_totals sum;
    struct log_line line;
    crew_totals(&p->rt.crew, &sum);
    log_begin(&line, LOG_LEVEL_NOTICE, "stop");
    log_uint(&line, "sessions", sum.sessions);
    log_uint(&line, "spliced", worker_totals_bytes(&sum, MOVER_SPLICE));
    log_uint(&line, "copied", worker_totals_bytes(&sum, MOVER_COPY));
    log_uint(&line, "fallbacks", worker_totals_fallbacks(&sum));
    log_end(&line);
}

static int prepare(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    if (find_privileges(p) < 0 || find_pid_file(p) < 0 || open_log(p) < 0)
        return -1;
    set_up_runtime(p);
    rt->shut_down = on_shut_down;
    rt->shut_down_arg = p;
    rt->watchdog = &p->watchdog;
    if (open_checks(p) < 0 || open_console(p) < 0 || open_web(p) < 0)
        return -1;
    if (p->heir != -1 && start_log() < 0) /* what can fail does before it takes over */
        return -1;
    if (put_in_force(p) < 0)
        return -1;
    atomic_fetch_add(&rt->quota.left, (int64_t)rt->budget.pipes); /* less what came over in use */
    notify_open(&rt->notify);
    if (p->heir != -1) /* they were dropped by the one before */
        return 0;
    int rc = pid_file_write(&rt->pid_file);
    if (rc < 0)
        return cannot_start("[global] pid_file: %s: %s", rt->pid_file.path, safe_open_strerror(rc));
    return drop_privileges(p);
}

/* Nothing is left behind that would keep the next start from binding, where we still may. */
static void remove_files(struct proxy *p)
{
    pid_file_remove(&p->rt.pid_file);
    sockets_unlink(&p->rt.sockets);
    admin_unlink(p->rt.admin);
    http_unlink(p->rt.http);
}

static void clean_up(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    struct generation *g;
    watchdog_fini(&p->watchdog);
    log_loss_fini(&p->log_loss);
    console_fini(rt);
    web_fini(rt);
    crew_fini(&rt->crew);
    sockets_fini(&rt->sockets);
    grace_fini(&rt->grace);
    pools_fini(&rt->pools);
    while ((g = LIST_FIRST(&rt->generations)) != NULL) {
        LIST_REMOVE(g, in_all);
        generation_free(g);
    }
    generation_free(rt->current);
    reload_forget_failure(rt);
    config_free(p->conf);
    notify_flush(&rt->notify, LAST_WORDS_MS);
    notify_close(&rt->notify);
    pid_file_fini(&rt->pid_file);
    log_close();
}

/* Sessions move again by now, and nobody has been told yet who has them. */
static void replace_pid_file(struct proxy *p)
{
    struct pid_file *f = &p->rt.pid_file;
    int rc = p->heir == -1 ? 0 : pid_file_write(f);
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "pid_file", "%s: %s: it has the number of the process before",
                f->path, safe_open_strerror(rc));
}

static void relay_until_told(struct proxy *p)
{
    replace_pid_file(p);
    say_started(p);
    watchdog_start(&p->watchdog);
    catch_up(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    say_stopped(p);
}

/* Every question that was asked here has an answer, unless its client does not read. */
static void finish_answers(struct proxy *p)
{
    uint64_t end = uv_hrtime() + UINT64_C(1000000) * LAST_WORDS_MS;
    for (;;) {
        bool more = admin_finish(p->rt.admin);
        more |= http_finish(p->rt.http);
        if (!more || uv_hrtime() >= end)
            return;
        uv_sleep(FINISH_STEP_MS);
    }
}

/* The new process has everything: what is closed here by the end of the process is open there. */
static void on_gone(void *arg, int pid)
{
    struct proxy *p = arg;
    (void)pid;
    crew_reap(&p->rt.crew); /* those that had finished before */
    finish_answers(p);
    notify_flush(&p->rt.notify, LAST_WORDS_MS);
    log_close();
    log_loss_send(p->upgrade.sock, p->rt.log_dropped_sent);
    _exit(PROXY_ENDED);
}

static void init(struct proxy *p, const struct proxy_setup *setup)
{
    memset(p, 0, sizeof *p);
    p->conf = setup->conf;
    p->pid_file = setup->pid_file;
    p->heir = heir_socket();
    if (p->heir != -1)
        privileges_open(false); /* until it is known how the process before was */
    p->rt.file = setup->file;
    p->rt.pid_file.fd = -1;
    p->log_loss.sock = -1;
    p->rt.began = uv_hrtime() / 1000000;
    grace_init(&p->rt.grace);
    sockets_init(&p->rt.sockets);
    if (inherited_init(&p->rt.sockets.inherited) < 0)
        fprintf(stderr, "zproxy: out of memory: not all of systemd's sockets are known\n");
    LIST_INIT(&p->rt.entrances);
    LIST_INIT(&p->rt.generations);
    if (upgrade_init(&p->upgrade, &p->rt, setup->argv, on_gone, p) < 0)
        fprintf(stderr, "zproxy: /proc is not there: no upgrades\n");
}

enum proxy_status proxy_run(const struct proxy_setup *setup)
{
    struct proxy p;
    enum proxy_status status = PROXY_CANNOT_START;
    init(&p, setup);
    if (open_loop(&p) < 0) {
        config_free(p.conf);
        sockets_fini(&p.rt.sockets);
        upgrade_fini(&p.upgrade);
        return status;
    }
    if (prepare(&p) == 0 && (p.heir != -1 || start_log() == 0)) {
        if (p.heir == -1) /* otherwise it has what the one before knew */
            names_wait(&p.rt.names);
        if (p.rt.draining) {
            status = PROXY_ENDED;
        } else if (start_workers(&p) == 0) {
            relay_until_told(&p);
            status = PROXY_ENDED;
        }
    } else if (p.heir != -1) {
        heir_refuse(p.heir, cannot_start_why);
        _exit(status); /* the other process goes on with all that we have open */
    }
    remove_files(&p);
    close_loop(&p);
    clean_up(&p);
    upgrade_fini(&p.upgrade);
    return status;
}
