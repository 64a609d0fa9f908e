/* Servers that are emptied over a time: their sessions are closed evenly, those that have been
 * silent longest first. New ones do not come, since the server's state says so; sessions that end
 * by themselves count. For the control thread. */
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
/* The survey desk is gone. */
void drains_fini(struct drains *ds);

/* How far one is; with this it goes on in another process. Times are ms of CLOCK_MONOTONIC. */
struct drain_progress {
    uint64_t began;
    uint64_t length;
    uint64_t sessions; /* when it began */
    uint64_t closed;   /* by it */
};

/* Empties srv, whose state says that it gets no new sessions, over so many ms; anew, if that is
 * under way. Returns 0 or -ENOMEM. */
int drains_start(struct drains *ds, const struct pool *p, const struct server *srv, uint64_t over);
void drains_cancel(struct drains *ds, const struct server *srv);

/* Goes on with one that was begun by another process. Same results. */
int drains_resume(struct drains *ds, const struct pool *p, const struct server *srv,
                  const struct drain_progress *progress);

/* Returns whether one is under way, with how far it is, and how many ms are left. */
bool drains_progress(const struct drains *ds, const struct server *srv,
                     struct drain_progress *progress, uint64_t *left);
size_t drains_count(const struct drains *ds);

#endif
