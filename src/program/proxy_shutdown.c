#include <inttypes.h>

#include "base/human.h"
#include "base/log.h"
#include "command/commands.h"
#include "control/health_checks.h"
#include "control/reload.h"
#include "metrics/web.h"
#include "program/proxy_internal.h"

#define STATUS_MS        1000 /* between two status reports of a leave or a drain */
#define STALLED_EXTRA_MS 1000 /* for sessions to end, if the process was late at the timeout */
#define SPREAD_REST_MS   500  /* at most: the end of a spread shutdown, without closing sessions */

/* ---- drain ---- */

static uint64_t session_count(struct proxy *p)
{
    return conn_limit_used(&p->rt.conn_limit);
}

void proxy_abort_sessions(struct proxy *p, const char *why)
{
    char sessions[HUMAN_MAX];
    log_msg(LOG_LEVEL_NOTICE, "shutdown", "%s: resetting %s", why,
            human_count(session_count(p), "session", sessions));
    workers_each(&p->rt.workers, worker_abort);
}

/* If the process was stopped (SIGSTOP, a suspended machine) when the timeout expired, sessions get
 * a little time to handle what came meanwhile; likewise those that a drain is late to close. */
static void on_shutdown_timeout(uv_timer_t *timer)
{
    struct proxy *p = timer->data;
    bool more = (p->deadline.late || drains_count(&p->rt.drains) > 0) && !p->deadline_extended;
    p->deadline_extended |= more;
    if (more)
        deadline_start(&p->deadline, on_shutdown_timeout, STALLED_EXTRA_MS);
    else
        proxy_abort_sessions(p, "shutdown_timeout has expired");
}

/* prefix: "STOPPING=1\n" in the first report. */
static void report_status(struct proxy *p, const char *prefix)
{
    char left[HUMAN_MAX];
    char sessions[HUMAN_MAX];
    human_count(session_count(p), "session", sessions);
    if (p->rt.draining) {
        notify_send(&p->rt.notify, "%sSTATUS=draining, %s left", prefix, sessions);
        return;
    }
    uint64_t now = uv_now(&p->loop);
    uint64_t until = p->rt.leave_until;
    notify_send(&p->rt.notify, "%sSTATUS=leaving, draining begins in %s, %s", prefix,
                human_time(until > now ? until - now : 0, left), sessions);
}

static void on_status(uv_timer_t *timer)
{
    report_status(timer->data, "");
}

/* The drains of the servers end before the timeout of the shutdown, which resets sessions. */
static void drain_pool_servers(void *arg, struct pool *pool)
{
    struct proxy *p = arg;
    uint64_t rest = p->shutdown_spread_ms / 4;
    uint64_t over = p->shutdown_spread_ms - (rest < SPREAD_REST_MS ? rest : SPREAD_REST_MS);
    size_t count = 0;
    struct server *const *servers = pool_servers(pool, &count);
    for (size_t i = 0; i < count; i++)
        if (drains_start(&p->rt.drains, pool, servers[i], over) < 0)
            log_msg(LOG_LEVEL_ERROR, "drain",
                    "[pool %s]: out of memory: its sessions are not closed evenly",
                    pool_name(pool));
}

/* Stops accepting and waits for the sessions to end; those that are left after shutdown_timeout are
 * reset. With shutdown_spread_ms, sessions that are on no server then, and those that start later,
 * are reset after that time. */
static void proxy_drain(struct proxy *p, const char *why)
{
    uint64_t spread_ms = p->shutdown_spread_ms;
    uint64_t timeout_ms =
        spread_ms != 0 ? spread_ms : runtime_conf(&p->rt)->global.shutdown_timeout;
    deadline_stop(&p->leave_over);
    p->rt.leaving = false;
    p->rt.draining = true;
    accept_watch_stop(&p->rt.accept_watch);
    rebalances_stop_all(&p->rt.rebalances);
    upgrade_cancel(&p->upgrade, "zproxy is draining");
    log_msg(LOG_LEVEL_NOTICE, "drain", "%s: no new sessions, %" PRIu64 " to finish", why,
            session_count(p));
    report_status(p, "STOPPING=1\n");
    names_wait_stop(&p->rt.names);
    workers_each(&p->rt.workers, worker_drain);
    if (timeout_ms != 0)
        deadline_start(&p->deadline, on_shutdown_timeout, timeout_ms);
    uv_timer_start(&p->status, on_status, STATUS_MS, STATUS_MS);
    if (spread_ms != 0)
        pools_each(&p->rt.pools, drain_pool_servers, p);
}

/* ---- leave ---- */

static void on_leave_over(uv_timer_t *timer)
{
    proxy_drain(timer->data, "the delay is over");
}

/* Before the workers run no client is accepted, so there is nothing to wait for. */
void proxy_leave(struct proxy *p, const char *why, uint64_t delay_ms)
{
    char text[HUMAN_MAX];
    if (delay_ms == 0 || !p->rt.relaying) {
        proxy_drain(p, why);
        return;
    }
    p->rt.leaving = true;
    p->rt.leave_until = uv_now(&p->loop) + delay_ms;
    upgrade_cancel(&p->upgrade, "zproxy is leaving");
    log_msg(LOG_LEVEL_NOTICE, "leave", "%s: /healthz fails, new sessions are accepted for %s", why,
            human_time(delay_ms, text));
    report_status(p, "STOPPING=1\n");
    deadline_start(&p->leave_over, on_leave_over, delay_ms);
    uv_timer_start(&p->status, on_status, STATUS_MS, STATUS_MS);
}

/* Without a time: shutdown_delay, or, if it runs already, no further delay. */
void proxy_on_shutdown_command(void *arg, uint64_t delay_ms, uint64_t spread_ms)
{
    struct proxy *p = arg;
    if (delay_ms == SHUTDOWN_DELAY)
        delay_ms = p->rt.leaving ? 0 : runtime_conf(&p->rt)->global.shutdown_delay;
    p->shutdown_spread_ms = spread_ms;
    proxy_leave(p, "zproxyctl", delay_ms);
}

/* ---- the end of the loop ---- */

static void close_handle(uv_handle_t *handle, void *arg)
{
    (void)arg;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

/* Workers use the handles that wake this loop, so they are stopped first; then pending requests on
 * sessions are answered. uv_run() returns once every handle is closed. */
static void stop_loop(struct proxy *p)
{
    workers_stop(&p->rt.workers);
    scan_replies_drain(&p->rt.scan_replies);
    signals_close(&p->signals);
    names_close(&p->rt.names);
    health_checks_close(&p->rt);
    uv_walk(&p->loop, close_handle, NULL);
}

void proxy_close_loop(struct proxy *p)
{
    stop_loop(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    uv_loop_close(&p->loop);
}

static void on_answers_sent(uv_timer_t *timer)
{
    stop_loop(timer->data);
}

/* Answers to pending requests on sessions are sent in one more iteration of the loop. */
static void finish_drain(struct proxy *p)
{
    if (p->workers_joined)
        return;
    p->workers_joined = true;
    workers_stop(&p->rt.workers);
    scan_replies_drain(&p->rt.scan_replies);
    waits_end(&p->rt.waits); /* no session is left */
    deadline_start(&p->deadline, on_answers_sent, 0);
}

void proxy_on_worker_finished(uv_async_t *async)
{
    struct proxy *p = async->data;
    pools_schedule_cleanup(&p->rt.pools);
    if (p->rt.draining && workers_have_finished(&p->rt.workers))
        finish_drain(p);
}

/* ---- the end of the process ---- */

/* Files that dropped privileges do not allow to remove stay. */
void proxy_remove_files(struct proxy *p)
{
    pid_file_remove(&p->rt.pid_file);
    listen_sockets_unlink(&p->rt.listen_sockets);
    admin_unlink(p->rt.admin);
    http_unlink(p->rt.http);
}

void proxy_fini(struct proxy *p)
{
    struct runtime *rt = &p->rt;
    struct generation *g;
    watchdog_fini(&p->watchdog);
    old_process_watch_fini(&p->old_process);
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
