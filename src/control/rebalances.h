/* Rebalances pools, as after servers were added: closes the sessions beyond each server's fair
 * share, those that have been silent longest first, so that their clients come back elsewhere.
 *
 * With balance "hash" the sessions whose keys belong to other servers are closed. With "first",
 * those that an earlier server has room for. With other policies a share is in proportion to the
 * weight (balance/fair_share.h), and while a rebalance runs, new sessions go first to servers below
 * their share.
 *
 * No more sessions are closed than were beyond shares at the beginning, or when servers changed
 * meanwhile, and none by which its server would fall below its share. Sessions that were closed
 * count in the shares until as many more are there, for some seconds. For the control thread.
 */
#ifndef ZPROXY_CONTROL_REBALANCES_H
#define ZPROXY_CONTROL_REBALANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "balance/pool.h"
#include "control/pools.h"
#include "control/session_scan.h"
#include "control/workers.h"

struct rebalance;
LIST_HEAD(rebalance_list, rebalance);

struct rebalances {
    struct rebalance_list all;
    struct scan_replies *scan_replies;
    struct workers *workers;
    const struct pools *pools;
    uv_timer_t tick;
};

void rebalances_init(struct rebalances *rs, uv_loop_t *loop, struct scan_replies *scan_replies,
                     struct workers *workers, const struct pools *pools);
/* Must be called after scan_replies_fini(). */
void rebalances_fini(struct rebalances *rs);

/* The progress of a rebalance, from which another process can continue it. Times are in ms of
 * CLOCK_MONOTONIC. */
struct rebalance_progress {
    uint64_t first_began; /* when the command was given */
    uint64_t over;        /* the time that it named, ms; 0: at once */
    uint64_t began;       /* of the present plan */
    uint64_t length;      /* its time, ms */
    uint64_t counted;     /* 1: planned and to_move are valid; 0: sessions are being counted */
    uint64_t planned;     /* sessions to close by the present plan */
    uint64_t to_move;     /* sessions that still have to move, as last counted */
    uint64_t closed;      /* since the command */
    uint64_t most;        /* of closed; UINT64_MAX: no limit */
    uint64_t coming;      /* closed sessions that have not come back */
    uint64_t coming_late; /* the same, which have been closed some seconds ago */
    uint64_t aged;        /* when coming sessions last became late ones */
    uint64_t present;     /* sessions on all servers, as last counted */
    uint64_t changed;     /* when a session was last closed */
};

enum rebalance_started {
    REBALANCE_STARTED,
    REBALANCE_BALANCED, /* there is nothing to close */
    REBALANCE_RUNNING,  /* the same rebalance was running */
};

/* Called once: by rebalances_start(), or with balance "hash" when sessions have been counted.
 * progress: NULL if the rebalance ended before. */
typedef void rebalance_planned_fn(void *arg, enum rebalance_started started,
                                  const struct rebalance_progress *progress);

/* Closes the sessions within `over` ms; 0: at once. A rebalance of the pool that is running takes
 * the new time. Returns 0, and calls planned; or -ENOMEM. */
int rebalances_start(struct rebalances *rs, struct pool *p, uint64_t over,
                     rebalance_planned_fn *planned, void *arg);
/* Returns whether one was running; then sets *progress to its last state. */
bool rebalances_stop(struct rebalances *rs, const struct pool *p,
                     struct rebalance_progress *progress);
/* Stops all of them: the process drains. */
void rebalances_stop_all(struct rebalances *rs);

/* Continues a rebalance that another process began. Returns 0 or -ENOMEM. */
int rebalances_resume(struct rebalances *rs, const struct pool *p,
                      const struct rebalance_progress *progress);

/* Returns whether one is running; then sets *progress, and *left to the remaining ms. */
bool rebalances_progress(const struct rebalances *rs, const struct pool *p,
                         struct rebalance_progress *progress, uint64_t *left);

#endif
