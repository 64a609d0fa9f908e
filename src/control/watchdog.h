/* Pings every worker in turn. A worker that does not answer hangs: the log, the metrics and
 * zproxyctl show it. While all workers answer, zproxy sends WATCHDOG=1 to the service manager, if
 * that has enabled a watchdog (sd_watchdog_enabled(3)). If a worker or the control loop hangs, no
 * message is sent, and the service manager acts as its unit file tells. For the control thread. */
#ifndef ZPROXY_CONTROL_WATCHDOG_H
#define ZPROXY_CONTROL_WATCHDOG_H

#include <stdbool.h>
#include <uv.h>

#include "control/notify.h"
#include "control/workers.h"

struct watchdog_round;

struct watchdog {
    uv_timer_t timer;
    uv_async_t wakeup;
    struct mailbox answers; /* pings that come back from the workers */
    uint64_t interval;      /* ms, of the service manager; 0: it has not enabled a watchdog */
    uint64_t pinged_at;     /* ms: when the round began */
    unsigned ticks;         /* of the timer since then */
    struct workers *workers;
    struct notify *notify;
    struct watchdog_round *round; /* the pings under way; NULL: none */
    bool hanging;                 /* a worker has not answered in time, which has been logged */
};

/* Opens handles, which are closed with the loop's others. Removes WATCHDOG_PID from the
 * environment: after a handover the new process is watched in place of this one. Returns 0 or
 * -errno. */
int watchdog_init(struct watchdog *w, uv_loop_t *loop, struct workers *workers,
                  struct notify *notify);
/* Must be called when the workers have ended. */
void watchdog_fini(struct watchdog *w);

/* Pings the workers now, and then every two seconds, or twice in each interval of the service
 * manager. */
void watchdog_start(struct watchdog *w);

/* Whether the worker with this index hangs, and this has been logged. *ms: how long it has not
 * answered. */
bool watchdog_hangs(const struct watchdog *w, unsigned worker, uint64_t *ms);

#endif
