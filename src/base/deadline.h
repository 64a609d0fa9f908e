/* A timeout that expires only after the loop has handled the events that were ready.
 *
 * libuv runs due timers before it polls (since 1.45 also after a poll that a signal interrupted).
 * After a stall (SIGSTOP, a slow disk, a suspended machine) a plain timer would expire although the
 * awaited answer is waiting in a socket. A due deadline lets the loop poll at least once more, and
 * again while events are ready, at most DEADLINE_POLLS_MAX times, so that a busy loop cannot put it
 * off for ever.
 *
 * The owner embeds the deadline and may use timer.data; it closes the deadline by uv_close() on the
 * timer. A callback that handles the awaited event stops or restarts the deadline. For the thread
 * of the loop.
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
    uint64_t due;   /* ms, uv_now() */
    bool late;      /* the timer ran long after `due`: the process was stalled */
    unsigned polls; /* of the loop since the timer was due */
};

void deadline_init(struct deadline *d, uv_loop_t *loop);

/* Calls expired once, 1 ms or more after `ms` have passed. Restarts a deadline that is running. */
void deadline_start(struct deadline *d, uv_timer_cb expired, uint64_t ms);
void deadline_stop(struct deadline *d);

#endif
