#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/node.h"
#include "base/safe_open.h"
#include "build.h"
#include "command/commands.h"
#include "control/config_change.h"
#include "control/health_checks.h"
#include "metrics/web.h"
#include "program/proxy_internal.h"
#include "relay/relay_stock.h"
#include "session/session_id.h"

static char start_error_text[1024];

int proxy_start_error(const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(start_error_text, sizeof start_error_text, fmt, args);
    va_end(args);
    fprintf(stderr, "zproxy: %s\n", start_error_text);
    return -1;
}

const char *proxy_start_error_text(void)
{
    return start_error_text;
}

/* ---- log and privileges ---- */

static const char *lookup_strerror(int rc)
{
    return rc == -ENOENT ? "no such name on this machine" : strerror(-rc);
}

static int lookup_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_find(&p->rt.privileges, &p->conf->global, &key);
    return rc < 0 ? proxy_start_error("[global] %s: %s", key, lookup_strerror(rc)) : 0;
}

static int drop_privileges(struct proxy *p)
{
    const char *key = NULL;
    int rc = privileges_drop(&p->rt.privileges, runtime_conf(&p->rt), &key);
    return rc < 0 ? proxy_start_error("[global] %s: %s", key, strerror(-rc)) : 0;
}

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
    node_set(node_prepare(g->node));
    int rc = log_open(&settings, &failed);
    bool access = failed != NULL && failed == g->fixed.access_log.path;
    if (rc < 0)
        return proxy_start_error("[global] %s: %s: %s", access ? "access_log" : "log",
                                 failed != NULL ? failed : "?", safe_open_strerror(rc));
    return 0;
}

int proxy_start_log(void)
{
    int rc = log_start();
    return rc < 0 ? proxy_start_error("[global] log: %s", strerror(-rc)) : 0;
}

/* ---- the runtime ---- */

/* Called on any thread. */
static void on_conn_limit_wake(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->room_async);
}

/* Called on the worker's thread. */
static void on_worker_finished(void *arg)
{
    struct proxy *p = arg;
    uv_async_send(&p->finished_async);
}

static bool on_keeps_pool(void *arg, const struct pool *p)
{
    return config_change_uses_pool(arg, p);
}

static bool on_cleanup_pools(void *arg)
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
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    atomic_init(&rt->last_session_id, session_id_start(&now));
    worker_setup_busy_poll(&setup, g->fixed.busy_poll);
    rt->loop = &p->loop;
    rt->pools.kept = on_keeps_pool;
    rt->pools.cleaned_up = on_cleanup_pools;
    rt->pools.arg = rt;
    rt->shut_down = proxy_on_shutdown_command;
    rt->shut_down_arg = p;
    rt->watchdog = &p->watchdog;
    conn_limit_init(&rt->conn_limit, 0, on_conn_limit_wake, p);
    workers_init(&rt->workers, &setup, g->fixed.cpu_affinity);
}

static int init_pid_file(struct proxy *p)
{
    const char *path = p->pid_file != NULL ? p->pid_file : p->conf->global.fixed.pid_file;
    return pid_file_init(&p->rt.pid_file, path) < 0 ? proxy_start_error("out of memory") : 0;
}

static int open_control(struct proxy *p)
{
    int rc = health_checks_open(&p->rt);
    if (rc < 0)
        return proxy_start_error("health checks: %s", strerror(-rc));
    rc = commands_open(&p->rt);
    if (rc < 0)
        return proxy_start_error("control socket: %s", strerror(-rc));
    rc = web_open(&p->rt);
    return rc < 0 ? proxy_start_error("status page: %s", strerror(-rc)) : 0;
}

/* ---- the configuration ---- */

/* Applies the file's configuration as a change from an empty one. */
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

/* After this the file's configuration is in force, or the old process's, with all it has. */
static int apply_config(struct proxy *p)
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

int proxy_prepare(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    if (lookup_privileges(p) < 0 || init_pid_file(p) < 0 || open_log(p) < 0)
        return -1;
    init_runtime(p);
    if (open_control(p) < 0)
        return -1;
    /* The log's threads can fail to start, and nothing may fail after the handover. */
    if (p->handover_sock != -1 && proxy_start_log() < 0)
        return -1;
    if (apply_config(p) < 0)
        return -1;
    /* Added, because pipes that came with sessions have been subtracted already. Relaxed: no worker
     * runs yet. */
    atomic_fetch_add_explicit(&rt->quota.left, (int64_t)rt->budget.pipes, memory_order_relaxed);
    notify_open(&rt->notify);
    if (p->handover_sock != -1) /* the old process has dropped the privileges */
        return 0;
    int rc = pid_file_write(&rt->pid_file);
    if (rc < 0)
        return proxy_start_error("[global] pid_file: %s: %s", rt->pid_file.path,
                                 safe_open_strerror(rc));
    return drop_privileges(p);
}

int proxy_start_workers(struct proxy *p)
{
    int rc = workers_start(&p->rt.workers);
    p->rt.relaying = rc == 0;
    return rc < 0 ? proxy_start_error("[global] workers: %s", strerror(-rc)) : 0;
}

/* ---- the first and the last line of the log ---- */

static void log_started_limits(const struct proxy *p, bool splice)
{
    const struct budget *b = &p->rt.budget;
    const struct config_global *g = &runtime_conf(&p->rt)->global;
    if (splice && !relay_stock_can_splice())
        relay_stock_log_fallback(RELAY_REFUSED, "this build or kernel cannot splice sockets");
    if (g->max_connections > b->sessions)
        log_msg(LOG_LEVEL_WARNING, "budget",
                "max_connections = %" PRIu64 ", but %" PRIu64 " descriptors are enough for %" PRIu64
                " only; zproxy -t tells what to raise",
                g->max_connections, b->descriptors, b->sessions);
}

void proxy_log_started(struct proxy *p)
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
    log_started_limits(p, splice);
    privileges_warn(runtime_conf(&p->rt));
    listen_sockets_log_unused(&p->rt.listen_sockets);
    notify_ready(&p->rt.notify, b->workers, p->handover_sock != -1);
}

void proxy_log_stopped(struct proxy *p)
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
