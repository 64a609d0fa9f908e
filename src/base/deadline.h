/* A timeout of a loop that decides only when the loop has looked at what the kernel has ready.
 *
 * libuv runs timers that are due before it polls (since 1.45 also after a poll that was cut short
 * by a signal). After a stall (SIGSTOP, a slow disk, a suspended machine) a plain timer would end
 * what has its answer waiting in a socket. A deadline that is due lets the loop poll at least once
 * more, and again while something is ready, at most DEADLINE_POLLS_MAX times: then a loop that
 * always has something ready has looked often enough.
 *
 * It is a uv_timer_t, which is closed as one; timer.data is the owner's. A callback that handles
 * what has arrived stops the deadline or starts it anew.
 */
#ifndef ZPROXY_BASE_DEADLINE_H
#define ZPROXY_BASE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define DEADLINE_POLLS_MAX 8

struct deadline {
    uv_timer_t timer;
    uv_timer_cb expired;
    uint64_t due;   /* ms of the loop */
    bool late;      /* it was seen to be due long after it was: the process has been stopped */
    unsigned polls; /* polls of the loop since it was due */
};

void deadline_init(struct deadline *d, uv_loop_t *loop);

/* Calls expired once, a millisecond or more after ms have passed. Starts anew if it was started. */
void deadline_start(struct deadline *d, uv_timer_cb expired, uint64_t ms);
void deadline_stop(struct deadline *d);

#endif
