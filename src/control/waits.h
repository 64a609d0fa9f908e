/* Conditions that commands of the control socket wait for. Each is checked ten times a second by a
 * timer, which runs only while there is one. For the control thread. */
#ifndef ZPROXY_CONTROL_WAITS_H
#define ZPROXY_CONTROL_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

/* The control socket serves few clients: those that wait must not take all places. */
#define WAITS_MAX 16

/* Checks the condition. Returns true if the wait has ended: arg is not used any more. last: the
 * time is over, so the function must end the wait. */
typedef bool wait_fn(void *arg, bool last);

struct wait;
LIST_HEAD(wait_list, wait);

struct waits {
    struct wait_list all;
    size_t count;
    uv_timer_t tick;
};

void waits_init(struct waits *ws, uv_loop_t *loop);
/* Ends all waits: calls ask of each with last = true. */
void waits_end(struct waits *ws);

/* Calls ask, first by the next tick, until it returns true or `ms` have passed. Returns 0; or, and
 * ask is never called, -EAGAIN if there are WAITS_MAX waits already, or -ENOMEM. */
int waits_add(struct waits *ws, uint64_t ms, wait_fn *ask, void *arg);

#endif
