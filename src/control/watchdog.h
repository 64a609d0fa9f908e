/* Asks every worker again and again; one that does not answer hangs, which the log, the metrics and
 * zproxyctl tell. While all answer the service manager, if it wants to know, is told that all is
 * well, sd_watchdog_enabled(3). When a worker hangs, or the control loop itself, it is told
 * nothing, and does what the unit says. For the control thread. */
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
    struct mailbox answers; /* questions that come back from the workers */
    uint64_t interval;      /* ms, of the service manager; 0: it does not want to know */
    uint64_t pinged_at;     /* ms, when the round began */
    unsigned ticks;         /* of the timer, since then */
    struct workers *workers;
    struct notify *notify;
    struct watchdog_round *round; /* who has been asked; NULL: nobody yet */
    bool hanging;                 /* a worker did not answer in time, and the log has said so */
};

/* Opens its handles on the loop, which whoever ends the loop closes; and takes WATCHDOG_PID out of
 * the environment: a process that takes over is watched in our place. Returns 0 or -errno. */
int watchdog_init(struct watchdog *w, uv_loop_t *loop, struct workers *workers,
                  struct notify *notify);
/* The workers must have ended. */
void watchdog_fini(struct watchdog *w);

/* Asks the workers for the first time, and from now on every two seconds, or twice in each interval
 * of the service manager. */
void watchdog_start(struct watchdog *w);

/* Returns whether the log has said that the worker of that index hangs; and for how many ms it has
 * not answered. */
bool watchdog_hangs(const struct watchdog *w, unsigned worker, uint64_t *ms);

#endif
