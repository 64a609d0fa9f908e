#include "program/proxy.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/safe_open.h"
#include "control/names.h"
#include "control/reload.h"
#include "program/proxy_internal.h"

#define DESCRIPTORS_MIN 16 /* with fewer not even an error message can be printed */

/* ---- signals ---- */

static void proxy_reload(struct proxy *p)
{
    char *text = NULL;
    reload_file(&p->rt, &text);
    free(text);
}

/* Each signal goes one step further: leave, drain, reset. */
static void on_end_signal(struct proxy *p, const char *name)
{
    if (p->rt.draining)
        proxy_abort_sessions(p, "a second signal to end");
    else
        proxy_leave(p, name, p->rt.leaving ? 0 : runtime_conf(&p->rt)->global.shutdown_delay);
}

static void on_proxy_signal(void *arg, int number)
{
    struct proxy *p = arg;
    switch (number) {
    case SIGTERM:
    case SIGINT:
        on_end_signal(p, number == SIGTERM ? "SIGTERM" : "SIGINT");
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

/* ---- the loop ---- */

static void on_room(uv_async_t *async)
{
    struct proxy *p = async->data;
    workers_each(&p->rt.workers, worker_wake);
}

static int open_handles(struct proxy *p)
{
    int rc = uv_async_init(&p->loop, &p->finished_async, proxy_on_worker_finished);
    if (rc == 0)
        rc = uv_async_init(&p->loop, &p->room_async, on_room);
    deadline_init(&p->deadline, &p->loop);
    deadline_init(&p->leave_over, &p->loop);
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
    p->finished_async.data = p->room_async.data = p->status.data = p;
    p->deadline.timer.data = p->leave_over.timer.data = p;
    if (rc == 0)
        rc = signals_open(&p->signals, &p->loop, on_proxy_signal, p);
    return rc;
}

/* The limit is checked first because libuv aborts when it has no descriptors for its signal pipe.
 */
static int open_loop(struct proxy *p)
{
    p->rt.descriptors = budget_raise_descriptors();
    if (p->rt.descriptors < DESCRIPTORS_MIN)
        return proxy_start_error("descriptors: the limit is %" PRIu64
                                 ", expected %d or more (ulimit -n)",
                                 p->rt.descriptors, DESCRIPTORS_MIN);
    int rc = uv_loop_init(&p->loop);
    if (rc == 0 && (rc = open_handles(p)) < 0)
        proxy_close_loop(p);
    return rc < 0 ? proxy_start_error("event loop: %s", uv_strerror(rc)) : 0;
}

/* ---- the whole run ---- */

/* Written after the handover, when sessions move again, and before the service manager is told
 * which process has them. */
static void replace_pid_file(struct proxy *p)
{
    struct pid_file *f = &p->rt.pid_file;
    int rc = p->handover_sock == -1 ? 0 : pid_file_write(f);
    if (rc < 0)
        log_msg(LOG_LEVEL_WARNING, "pid_file", "%s: %s: it still has the old process's number",
                f->path, safe_open_strerror(rc));
}

/* The handover brought the configuration that was in force; the file on disk may be newer. */
static void finish_handover(struct proxy *p)
{
    if (p->handover_sock == -1)
        return;
    old_process_watch_start(&p->old_process, &p->loop, p->handover_sock, &p->rt.staying);
    reload_if_changed(&p->rt, p->conf);
}

static void run_until_stopped(struct proxy *p)
{
    replace_pid_file(p);
    proxy_log_started(p);
    watchdog_start(&p->watchdog);
    finish_handover(p);
    uv_run(&p->loop, UV_RUN_DEFAULT);
    proxy_log_stopped(p);
}

static void proxy_init(struct proxy *p, const struct proxy_setup *setup)
{
    memset(p, 0, sizeof *p);
    p->conf = setup->conf;
    p->pid_file = setup->pid_file;
    p->handover_sock = handover_receive_socket();
    if (p->handover_sock != -1)
        privileges_set_dumpable(false); /* until the old process has said how it was */
    p->rt.file = setup->file;
    p->rt.pid_file.fd = -1;
    p->old_process.sock = -1;
    p->rt.began = uv_hrtime() / 1000000;
    grace_init(&p->rt.grace);
    listen_sockets_init(&p->rt.listen_sockets);
    if (inherited_init(&p->rt.listen_sockets.inherited) < 0)
        fprintf(stderr, "zproxy: out of memory: some sockets of systemd are not used\n");
    LIST_INIT(&p->rt.listener_states);
    LIST_INIT(&p->rt.generations);
    if (upgrade_init(&p->upgrade, &p->rt, setup->argv, proxy_on_handed_over, p) < 0)
        fprintf(stderr, "zproxy: /proc is not mounted: upgrades are not possible\n");
}

static enum proxy_status run_prepared(struct proxy *p)
{
    if (p->handover_sock == -1) /* otherwise the old process's answers are in use */
        names_wait(&p->rt.names);
    if (p->rt.draining)
        return PROXY_ENDED;
    if (proxy_start_workers(p) < 0)
        return PROXY_CANNOT_START;
    run_until_stopped(p);
    return PROXY_ENDED;
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
    if (proxy_prepare(&p) == 0 && (p.handover_sock != -1 || proxy_start_log() == 0)) {
        status = run_prepared(&p);
    } else if (p.handover_sock != -1) {
        handover_receive_refuse(p.handover_sock, proxy_start_error_text());
        _exit(status); /* without cleaning up: the old process goes on with all that is open here */
    }
    proxy_remove_files(&p);
    proxy_close_loop(&p);
    proxy_fini(&p);
    upgrade_fini(&p.upgrade);
    return status;
}
