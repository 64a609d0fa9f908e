/* Conditions that commands wait for. While there are any, they are asked ten times a second. For
 * the control thread. */
#ifndef ZPROXY_CONTROL_WAITS_H
#define ZPROXY_CONTROL_WAITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uv.h>

/* The control socket serves few clients: those that wait must not take all places. */
#define WAITS_MAX 16

/* Returns whether the wait has ended, and arg is not used any more. last: it ends in any case. */
typedef bool wait_fn(void *arg, bool last);

struct wait;
LIST_HEAD(wait_list, wait);

struct waits {
    struct wait_list all;
    size_t count;
    uv_timer_t tick;
};

void waits_init(struct waits *ws, uv_loop_t *loop);
/* Ends all waits: each is asked for the last time. */
void waits_end(struct waits *ws);

/* Calls ask until it returns true, for `ms` at most. Returns 0; -EAGAIN if there are WAITS_MAX
 * waits already; or -ENOMEM. */
int waits_add(struct waits *ws, uint64_t ms, wait_fn *ask, void *arg);

#endif
