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

#include "balance/backend.h"
#include "balance/pool.h"
#include "control/crew.h"
#include "control/pools.h"
#include "control/survey.h"

struct drain;
LIST_HEAD(drain_list, drain);

#define DRAIN_LISTS 512u

struct drains {
    struct drain_list all;
    struct drain_list by_server[DRAIN_LISTS]; /* by the server's serial */
    struct survey_desk *desk;
    struct crew *crew;
    const struct pools *pools;
    uv_timer_t tick;
};

void drains_init(struct drains *ds, uv_loop_t *loop, struct survey_desk *desk, struct crew *crew,
                 const struct pools *pools);
/* The survey desk is gone. */
void drains_fini(struct drains *ds);

/* How far one is; with this it goes on in another process. Times are ms of CLOCK_MONOTONIC. */
struct drain_course {
    uint64_t began;
    uint64_t length;
    uint64_t sessions; /* when it began */
    uint64_t closed;   /* by it */
};

/* Empties b, whose state says that it gets no new sessions, over so many ms; anew, if that is under
 * way. Returns 0 or -ENOMEM. */
int drains_begin(struct drains *ds, const struct pool *p, const struct backend *b, uint64_t over);
void drains_cancel(struct drains *ds, const struct backend *b);

/* Goes on with one that was begun by another process. Same results. */
int drains_resume(struct drains *ds, const struct pool *p, const struct backend *b,
                  const struct drain_course *course);

/* Returns whether one is under way, with how far it is, and how many ms are left. */
bool drains_progress(const struct drains *ds, const struct backend *b, struct drain_course *course,
                     uint64_t *left);
size_t drains_count(const struct drains *ds);

#endif
