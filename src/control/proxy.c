#include "control/proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "balance/pool.h"
#include "base/log.h"
#include "build.h"
#include "control/budget.h"
#include "control/notify.h"
#include "control/privileges.h"
#include "control/worker.h"
#include "relay/mover.h"
#include "relay/sock.h"
#include "session/service.h"

#define STATUS_MS 1000 /* while draining */

struct proxy {
    const struct config *conf;
    const char *pid_file;
    struct budget budget;
    struct privileges privileges;
    struct notify notify;
    struct pipe_quota quota;
    struct gate gate; /* max_connections of the process */
    _Atomic uint64_t last_session_id;
    struct pool **pools; /* in the configuration's order, likewise services */
    struct service *services;
    struct worker **workers;
    size_t worker_count;
    size_t started;          /* workers whose thread runs or has run */
    _Atomic size_t finished; /* of these, those that have drained */
    bool draining;

    uv_loop_t loop;
    uv_async_t on_finished;
    uv_timer_t deadline; /* shutdown_timeout */
    uv_timer_t status;
    uv_signal_t signals[5];
};

/* One line for whoever started us; the log may be elsewhere, or not open yet. */
static int __attribute__((format(printf, 1, 2))) cannot_start(const char *fmt, ...)
{
    va_list args;
    fputs("zproxy: ", stderr);
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fputc('\n', stderr);
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
        .owner = p->privileges.uid,
        .group = p->privileges.gid,
    };
    const char *failed = NULL;
    int rc = log_open(&settings, &failed);
    if (rc < 0)
        return cannot_start("[global] log: %s: %s", failed != NULL ? failed : "?", strerror(-rc));
    return 0;
}

static int find_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_find(&p->privileges, &p->conf->global, &key);
    return rc < 0 ? cannot_start("[global] %s: %s", key, reason(rc)) : 0;
}

static void wake_workers(void *arg)
{
    struct proxy *p = arg;
    for (size_t i = 0; i < p->worker_count; i++)
        worker_wake(p->workers[i]);
}

static struct pool *pool_of(struct proxy *p, const struct config_pool *conf)
{
    return p->pools[conf - p->conf->pool];
}

static int make_services(struct proxy *p)
{
    const struct config *c = p->conf;
    gate_init(&p->gate, p->budget.sessions, wake_workers, p);
    p->pools = calloc(c->pool_count + 1, sizeof *p->pools);
    p->services = calloc(c->listen_count + 1, sizeof *p->services);
    if (p->pools == NULL || p->services == NULL)
        return cannot_start("out of memory");
    for (size_t i = 0; i < c->pool_count; i++)
        if ((p->pools[i] = pool_new(&c->pool[i])) == NULL)
            return cannot_start("[pool %s]: out of memory", c->pool[i].name);
    for (size_t i = 0; i < c->listen_count; i++)
        service_init(&p->services[i], &c->listen[i], pool_of(p, c->listen[i].pool), &p->gate,
                     wake_workers, p);
    return 0;
}

static void on_worker_finished(void *arg)
{
    struct proxy *p = arg;
    atomic_fetch_add(&p->finished, 1);
    uv_async_send(&p->on_finished);
}

/* The CPU number of the n-th usable CPU, in turn. */
static int nth_cpu(unsigned n)
{
    cpu_set_t usable;
    if (sched_getaffinity(0, sizeof usable, &usable) == -1 || CPU_COUNT(&usable) == 0)
        return -1;
    n %= (unsigned)CPU_COUNT(&usable);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &usable) && n-- == 0)
            return cpu;
    return -1;
}

static int make_workers(struct proxy *p)
{
    const struct config_global *g = &p->conf->global;
    p->workers = calloc(p->budget.workers, sizeof *p->workers);
    if (p->workers == NULL)
        return cannot_start("out of memory");
    for (unsigned i = 0; i < p->budget.workers; i++) {
        const struct worker_setup setup = {
            .index = i,
            .cpu = g->cpu_affinity ? nth_cpu(i) : -1,
            .splice = g->relay == CONFIG_RELAY_SPLICE,
            .busy_poll = g->busy_poll,
            .pipe_size = (int)g->pipe_size,
            .quota = &p->quota,
            .last_session_id = &p->last_session_id,
            .finished = on_worker_finished,
            .arg = p,
        };
        int rc = worker_new(&p->workers[i], &setup);
        if (rc < 0)
            return cannot_start("[global] workers: worker %u: %s", i, strerror(-rc));
        p->worker_count++;
    }
    return 0;
}

static int bind_failed(const struct config_listen *c, const struct addr *at, int rc)
{
    char text[ADDR_TEXT_MAX];
    return cannot_start("[listen %s] bind: %s: %s", c->name, addr_print(at, text), strerror(-rc));
}

/* A unix socket cannot be bound twice: its one descriptor is shared by duplicates. */
static int listen_for(const struct service *s, const struct addr *at, int first)
{
    if (first == -1 || !addr_is_unix(at))
        return sock_listen(at, &s->options);
    int fd = fcntl(first, F_DUPFD_CLOEXEC, 0);
    return fd == -1 ? -errno : fd;
}

static int bind_address(struct proxy *p, size_t listen, const struct addr *at)
{
    struct service *s = &p->services[listen];
    int first = -1;
    int rc = sock_probe(at);
    for (size_t i = 0; rc >= 0 && i < p->worker_count; i++) {
        int fd = listen_for(s, at, first);
        if (first == -1)
            first = fd;
        rc = fd < 0 ? fd : worker_listen(p->workers[i], fd, s);
    }
    return rc < 0 ? bind_failed(&p->conf->listen[listen], at, rc) : 0;
}

static int bind_all(struct proxy *p)
{
    for (size_t i = 0; i < p->conf->listen_count; i++) {
        const struct config_listen *c = &p->conf->listen[i];
        for (size_t j = 0; j < c->bind_count; j++)
            if (bind_address(p, i, &c->bind[j]) < 0)
                return -1;
    }
    return 0;
}

static int write_pid_file(struct proxy *p)
{
    if (p->pid_file == NULL)
        return 0;
    FILE *f = fopen(p->pid_file, "we");
    int rc = f == NULL ? -errno : 0;
    if (f != NULL && (fprintf(f, "%ld\n", (long)getpid()) < 0 || fflush(f) == EOF))
        rc = -errno;
    if (f != NULL)
        fclose(f);
    return rc < 0 ? cannot_start("[global] pid_file: %s: %s", p->pid_file, strerror(-rc)) : 0;
}

static int drop_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_drop(&p->privileges, &p->conf->global, &key);
    return rc < 0 ? cannot_start("[global] %s: %s", key, strerror(-rc)) : 0;
}

static int start_workers(struct proxy *p)
{
    for (; p->started < p->worker_count; p->started++) {
        int rc = worker_start(p->workers[p->started]);
        if (rc < 0)
            return cannot_start("[global] workers: worker %zu: %s", p->started, strerror(-rc));
    }
    return 0;
}

/* ---- control: signals, drain ---- */

static uint64_t sessions_now(struct proxy *p)
{
    return atomic_load(&p->gate.inside);
}

static void for_each_worker(struct proxy *p, void (*call)(struct worker *w))
{
    for (size_t i = 0; i < p->started; i++)
        call(p->workers[i]);
}

static void abort_sessions(struct proxy *p, const char *why)
{
    log_msg(LOG_LEVEL_NOTICE, "shutdown", "%s: %" PRIu64 " sessions are reset", why,
            sessions_now(p));
    for_each_worker(p, worker_abort);
}

static void on_deadline(uv_timer_t *timer)
{
    abort_sessions(timer->data, "shutdown_timeout is over");
}

static void on_status(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    notify_send(&p->notify, "STATUS=draining, %" PRIu64 " sessions left", sessions_now(p));
}

static void drain(struct proxy *p, const char *signal_name)
{
    uint64_t timeout = p->conf->global.shutdown_timeout;
    p->draining = true;
    log_msg(LOG_LEVEL_NOTICE, "drain", "%s: no new sessions, %" PRIu64 " to finish", signal_name,
            sessions_now(p));
    notify_send(&p->notify, "STOPPING=1\nSTATUS=draining, %" PRIu64 " sessions left",
                sessions_now(p));
    for_each_worker(p, worker_drain);
    if (timeout != 0)
        uv_timer_start(&p->deadline, on_deadline, timeout, 0);
    uv_timer_start(&p->status, on_status, STATUS_MS, STATUS_MS);
}

static void reopen_log(void)
{
    const char *failed = NULL;
    int rc = log_reopen(&failed);
    if (rc < 0)
        log_msg(LOG_LEVEL_ERROR, "log_reopen", "%s: %s; the old file is kept", failed,
                strerror(-rc));
    else
        log_msg(LOG_LEVEL_NOTICE, "log_reopen", "log files reopened");
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct proxy *p = handle->data;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        if (p->draining)
            abort_sessions(p, "told to end a second time");
        else
            drain(p, number == SIGTERM ? "SIGTERM" : "SIGINT");
        break;
    case SIGUSR1:
        reopen_log();
        break;
    default: /* their default action would end us, and with us every session */
        log_msg(LOG_LEVEL_NOTICE, "signal", "%s is ignored by this version",
                number == SIGHUP ? "SIGHUP" : "SIGUSR2");
        break;
    }
}

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* With every handle closed uv_run() returns. */
static void stop_loop(struct proxy *p)
{
    uv_walk(&p->loop, close_handle, NULL);
}

static void on_finished(uv_async_t *async)
{
    struct proxy *p = async->data;
    if (atomic_load(&p->finished) == p->started)
        stop_loop(p);
}

static int open_loop(struct proxy *p)
{
    static const int numbers[] = { SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2 };
    int rc = uv_loop_init(&p->loop);
    if (rc < 0)
        return cannot_start("event loop: %s", uv_strerror(rc));
    rc = uv_async_init(&p->loop, &p->on_finished, on_finished);
    uv_timer_init(&p->loop, &p->deadline);
    uv_timer_init(&p->loop, &p->status);
    p->on_finished.data = p->deadline.data = p->status.data = p;
    for (size_t i = 0; rc == 0 && i < sizeof numbers / sizeof numbers[0]; i++) {
        rc = uv_signal_init(&p->loop, &p->signals[i]);
        p->signals[i].data = p;
        if (rc == 0)
            rc = uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
    signal(SIGPIPE, SIG_IGN); /* splice(2) has no MSG_NOSIGNAL */
    return rc < 0 ? cannot_start("event loop: %s", uv_strerror(rc)) : 0;
}

static void close_loop(struct proxy *p)
{
    stop_loop(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
}

/* ---- the whole of it ---- */

static void say_started(struct proxy *p)
{
    const struct budget *b = &p->budget;
    bool splice = p->conf->global.relay == CONFIG_RELAY_SPLICE;
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
    if (p->conf->global.max_connections > b->sessions)
        log_msg(LOG_LEVEL_WARNING, "budget",
                "max_connections = %" PRIu64 ", but %" PRIu64 " descriptors are enough for %" PRIu64
                " only; zproxy -t tells what to raise",
                p->conf->global.max_connections, b->descriptors, b->sessions);
    notify_send(&p->notify, "READY=1\nSTATUS=relaying with %" PRIu64 " workers", b->workers);
}

static void say_stopped(struct proxy *p)
{
    struct worker_totals sum = { 0 };
    struct log_line line;
    for (size_t i = 0; i < p->worker_count; i++)
        worker_add_totals(p->workers[i], &sum);
    log_begin(&line, LOG_LEVEL_NOTICE, "stop");
    log_uint(&line, "sessions", sum.sessions);
    log_uint(&line, "spliced", sum.spliced);
    log_uint(&line, "copied", sum.copied);
    log_uint(&line, "fallbacks", sum.fallbacks);
    log_end(&line);
}

static int prepare(struct proxy *p)
{
    uint64_t descriptors = budget_raise_descriptors();
    if (find_privileges(p) < 0)
        return -1;
    budget_compute(&p->budget, p->conf, descriptors, privileges_will_be_limited(&p->privileges));
    atomic_init(&p->quota.left, (int64_t)p->budget.pipes);
    if (open_log(p) < 0 || make_services(p) < 0 || make_workers(p) < 0 || bind_all(p) < 0)
        return -1;
    notify_open(&p->notify);
    return write_pid_file(p) < 0 || drop_privileges(p) < 0 ? -1 : 0;
}

/* Nothing is left behind that would keep the next start from binding, where we still may. */
static void remove_files(struct proxy *p)
{
    if (p->pid_file != NULL)
        unlink(p->pid_file);
    for (size_t i = 0; i < p->conf->listen_count; i++) {
        const struct config_listen *c = &p->conf->listen[i];
        for (size_t j = 0; j < c->bind_count; j++)
            if (addr_is_unix(&c->bind[j]) && c->bind[j].un.sun_path[0] != '\0')
                unlink(c->bind[j].un.sun_path);
    }
}

static void clean_up(struct proxy *p)
{
    for (size_t i = 0; i < p->worker_count; i++)
        worker_free(p->workers[i]);
    for (size_t i = 0; p->pools != NULL && i < p->conf->pool_count; i++)
        pool_free(p->pools[i]);
    free(p->workers);
    free(p->services);
    free(p->pools);
    notify_close(&p->notify);
    log_close();
}

static void relay_until_told(struct proxy *p)
{
    say_started(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    for_each_worker(p, worker_join);
    say_stopped(p);
}

enum proxy_status proxy_run(const struct config *conf, const char *pid_file)
{
    struct proxy p = { .conf = conf, .notify.fd = -1 };
    enum proxy_status status = PROXY_CANNOT_START;
    p.pid_file = pid_file != NULL ? pid_file : conf->global.pid_file;
    if (open_loop(&p) < 0)
        return status;
    if (prepare(&p) == 0) {
        if (start_workers(&p) == 0) {
            relay_until_told(&p);
            status = PROXY_ENDED;
        } else {
            for_each_worker(&p, worker_abort);
            for_each_worker(&p, worker_join);
        }
        remove_files(&p);
    }
    close_loop(&p);
    clean_up(&p);
    return status;
}
