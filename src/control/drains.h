/* Drains servers over a period: their sessions are closed at an even rate, those that have been
 * idle longest first. The caller sets the server's state, so that the server gets no new session.
 * Sessions that end by themselves count as closed. For the control thread. */
#ifndef ZPROXY_CONTROL_DRAINS_H
#define ZPROXY_CONTROL_DRAINS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

#include "balance/pool.h"
#include "balance/server.h"
#include "control/pools.h"
#include "control/session_scan.h"
#include "control/workers.h"

struct drain;
LIST_HEAD(drain_list, drain);

#define DRAIN_LISTS 512u

struct drains {
    struct drain_list all;
    struct drain_list by_server[DRAIN_LISTS]; /* by the server's serial */
    struct scan_replies *scan_replies;
    struct workers *workers;
    const struct pools *pools;
    uv_timer_t tick;
};

void drains_init(struct drains *ds, uv_loop_t *loop, struct scan_replies *scan_replies,
                 struct workers *workers, const struct pools *pools);
/* Must be called after scan_replies_fini(). */
void drains_fini(struct drains *ds);

/* The progress of a drain, from which another process can continue it. Times are in ms of
 * CLOCK_MONOTONIC. */
struct drain_progress {
    uint64_t began;
    uint64_t length;
    uint64_t sessions; /* when it began */
    uint64_t closed;   /* by the drain */
};

/* Closes the sessions of srv within `over` ms. A running drain of srv is cancelled first. Returns 0
 * or -ENOMEM. */
int drains_start(struct drains *ds, const struct pool *p, const struct server *srv, uint64_t over);
/* Returns whether a drain of srv was running. */
bool drains_cancel(struct drains *ds, const struct server *srv);

/* Continues a drain that another process began. Returns 0 or -ENOMEM. */
int drains_resume(struct drains *ds, const struct pool *p, const struct server *srv,
                  const struct drain_progress *progress);

/* Returns whether a drain of srv is running; if so, sets *progress, and *left to the remaining ms.
 */
bool drains_progress(const struct drains *ds, const struct server *srv,
                     struct drain_progress *progress, uint64_t *left);
size_t drains_count(const struct drains *ds);

#endif
