/* What the parts of the process share: proxy_start.c makes it, proxy.c runs it, proxy_shutdown.c
 * drains and frees it, proxy_handed_over.c ends it after an upgrade. For the control thread, except
 * where noted. */
#ifndef ZPROXY_PROGRAM_PROXY_INTERNAL_H
#define ZPROXY_PROGRAM_PROXY_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/deadline.h"
#include "control/runtime.h"
#include "control/watchdog.h"
#include "handover/handover_receive.h"
#include "handover/upgrade.h"
#include "program/signals.h"

#define NOTIFY_FLUSH_MS 5000 /* for a service manager whose queue is full, at the end */

struct proxy {
    struct runtime rt;
    struct upgrade upgrade;
    struct watchdog watchdog;
    const char *pid_file; /* from the command line, or NULL */
    int handover_sock;    /* to the old process; -1: an ordinary start */
    struct old_process_watch old_process;
    struct config *conf; /* the file's; NULL once it is in force */
    uv_loop_t loop;
    uv_async_t finished_async;   /* a worker has finished */
    uv_async_t room_async;       /* a connection limit has room again */
    struct deadline deadline;    /* shutdown_timeout */
    bool deadline_extended;      /* by STALLED_EXTRA_MS, which happens once */
    struct deadline leave_over;  /* shutdown_delay */
    uint64_t shutdown_spread_ms; /* sessions are closed evenly over it; 0: they are not closed */
    uv_timer_t status;           /* reports a leave and a drain to the service manager */
    struct signals signals;
    bool workers_joined;
};

/* ---- proxy_start.c ---- */

/* Prints the line to stderr, because the log may not be open yet, and keeps it for the old process
 * of an upgrade. Returns -1. */
int proxy_start_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The last such line; "": none. */
const char *proxy_start_error_text(void);

/* Opens everything up to the workers, or takes it over from the old process. Returns 0, or -1 after
 * proxy_start_error(). */
int proxy_prepare(struct proxy *p);

/* Starts the log's threads. Call after privileges are dropped: a thread that exists already would
 * keep some of them. Returns 0, or -1 after proxy_start_error(). */
int proxy_start_log(void);
/* Starts the workers. The same results. */
int proxy_start_workers(struct proxy *p);

void proxy_log_started(struct proxy *p);
void proxy_log_stopped(struct proxy *p);

/* ---- proxy_shutdown.c ---- */

/* Ends the process: /healthz fails at once, clients are accepted for delay_ms more, then the drain
 * begins. A second call restarts the delay; with delay_ms 0 the drain begins at once. why: the
 * cause, for the log. */
void proxy_leave(struct proxy *p, const char *why, uint64_t delay_ms);
/* Resets all sessions. */
void proxy_abort_sessions(struct proxy *p, const char *why);
/* The control socket's command "shutdown": runtime.shut_down. */
void proxy_on_shutdown_command(void *arg, uint64_t delay_ms, uint64_t spread_ms);
/* A worker has finished; the last one ends a drain. */
void proxy_on_worker_finished(uv_async_t *async);
/* Removes the pid file and the files of unix sockets, so that the next start can bind. */
void proxy_remove_files(struct proxy *p);
/* Stops the workers and closes the loop. */
void proxy_close_loop(struct proxy *p);
void proxy_fini(struct proxy *p);

/* ---- proxy_handed_over.c ---- */

/* The new process has taken over (upgrade.handed_over): ends this one, after the sessions that
 * stayed with it. Signals that this process gets meanwhile, because the service manager has not
 * been told of the new one, are sent on. */
void proxy_on_handed_over(void *arg, int pid, uint64_t staying);

#endif
