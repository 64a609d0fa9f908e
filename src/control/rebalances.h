/* The command "rebalance": closes the sessions beyond each server's fair share, those that have
 * been silent longest first, so that their clients connect again and get other servers.
 *
 * Which sessions these are depends on the policy. "hash": those whose keys belong to other servers.
 * "first": those that an earlier server has room for. Others: a share is in proportion to the
 * weight (balance/fair_share.h), and while a rebalance runs, new sessions go first to servers below
 * their share.
 *
 * A rebalance begins with a plan, the number of sessions that have to move; no more are closed, and
 * no server is brought below its share. When servers change, a new plan is made for the time that
 * is left. A tick ten times a second compares sessions and shares. It starts a wave
 * (control/rebalance_wave.h) whenever more sessions have to move than the plan allows at that time.
 *
 * Closed sessions are divided among the servers like present ones until their clients have come
 * back, but for 10 seconds at most: otherwise each close would make all shares smaller.
 *
 * A server that goes out meanwhile (down, drained, failed connects) is waited for until the time is
 * over, and 10 seconds more, if sessions would have to move when it comes back.
 *
 * For the control thread. */
#ifndef ZPROXY_CONTROL_REBALANCES_H
#define ZPROXY_CONTROL_REBALANCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "balance/pool.h"
#include "control/pools.h"
#include "control/rebalance_progress.h"
#include "control/session_scan.h"
#include "control/workers.h"

struct rebalance;
LIST_HEAD(rebalance_list, rebalance);

struct rebalances {
    struct rebalance_list all; /* which run, one for a pool at most; owned */
    struct scan_replies *scan_replies;
    struct workers *workers;
    const struct pools *pools;
    const _Atomic uint64_t *last_session_id;
    uv_timer_t tick;
};

void rebalances_init(struct rebalances *rs, uv_loop_t *loop, struct scan_replies *scan_replies,
                     struct workers *workers, const struct pools *pools,
                     const _Atomic uint64_t *last_session_id);
/* Must be called after scan_replies_fini(). */
void rebalances_fini(struct rebalances *rs);

enum rebalance_started {
    REBALANCE_STARTED,
    REBALANCE_BALANCED, /* there is nothing to close */
    REBALANCE_RUNNING,  /* the same rebalance was running */
};

/* Called once, when the plan has been made: by rebalances_start(); or later with balance "hash",
 * where sessions have to be counted first. progress: valid during the call; NULL if the rebalance
 * ended before it had a plan. */
typedef void rebalance_planned_fn(void *arg, enum rebalance_started started,
                                  const struct rebalance_progress *progress);

/* Starts a rebalance of p, which closes the sessions within `over` ms; 0: at once. If one is
 * running with the same time, it goes on; with another time, a new plan is made. Returns 0, and
 * planned is called; or -ENOMEM, and it is not. */
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
