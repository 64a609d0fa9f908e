/* The objects that the running process consists of. The control thread owns them; workers use only
 * those that are passed to them. */
#ifndef ZPROXY_CONTROL_RUNTIME_H
#define ZPROXY_CONTROL_RUNTIME_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "balance/health.h"
#include "base/grace.h"
#include "base/log.h"
#include "control/accept_watch.h"
#include "control/admin.h"
#include "control/budget.h"
#include "control/drains.h"
#include "control/generation.h"
#include "control/http.h"
#include "control/listen_sockets.h"
#include "control/names.h"
#include "control/notify.h"
#include "control/pid_file.h"
#include "control/pools.h"
#include "control/privileges.h"
#include "control/rebalances.h"
#include "control/session_list.h"
#include "control/session_scan.h"
#include "control/waits.h"
#include "control/workers.h"
#include "relay/pipe.h"
#include "session/conn_limit.h"
#include "session/listener_state.h"

struct watchdog;
struct web;

/* The last reload, if it failed. */
struct reload_failure {
    uint64_t time; /* ms of the loop */
    char *reason;  /* its first error; NULL: the last reload did not fail */
};

#define SHUTDOWN_DELAY UINT64_MAX

/* Sessions that the process before an upgrade has kept. */
struct staying_sessions {
    uint64_t pid; /* of that process */
    uint64_t count;
};

struct runtime {
    uv_loop_t *loop;
    const char *file; /* the configuration's */
    uint64_t descriptors;
    struct privileges privileges;
    struct notify notify;
    struct pid_file pid_file;
    struct grace grace;
    struct pools pools;
    struct names names;
    struct health *health; /* NULL: not started, or ended */
    struct listener_state_list listener_states;
    struct conn_limit conn_limit; /* max_connections of the process */
    struct accept_watch accept_watch;
    struct pipe_quota quota;
    struct listen_sockets listen_sockets;
    struct workers workers;
    const struct watchdog *watchdog; /* NULL: none */
    struct budget budget;
    struct generation *current;         /* the configuration in force; NULL before the start */
    struct generation_list generations; /* older ones, in use or to be freed */
    unsigned last_generation;
    struct admin *admin;
    struct http *http;
    struct web *web; /* the pages of http */
    struct scan_replies scan_replies;
    struct session_lists session_lists;
    struct drains drains;
    struct waits waits;
    struct rebalances rebalances;
    uint64_t reloads;
    uint64_t failed_reloads;
    struct reload_failure reload_failure;
    uint64_t began; /* ms of the loop: CLOCK_MONOTONIC, the same in every process */
    struct staying_sessions staying;
    uint64_t log_dropped_sent[LOG_NAME_COUNT]; /* to the next process, in a handover */
    bool relaying;                             /* the workers have been started */
    bool leaving;         /* shutdown_delay runs: /healthz fails, clients are accepted */
    uint64_t leave_until; /* ms of the loop: the drain begins */
    bool draining;
    bool was_healthy; /* a server or file has been usable */
    enum health_override health_override;
    /* Ends the process. after: ms until the drain begins; SHUTDOWN_DELAY: those of shutdown_delay.
     * over: ms over which sessions are closed, as for drains_start(); 0: they are not closed. NULL:
     * not possible. */
    void (*shut_down)(void *arg, uint64_t after, uint64_t over);
    void *shut_down_arg;
    _Atomic uint64_t last_session_id;
};

static inline const struct config *runtime_conf(const struct runtime *rt)
{
    return rt->current->conf;
}

#endif
