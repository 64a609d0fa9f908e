#include "base/deadline.h"

#include <poll.h>
#include <stdbool.h>

#define REPOLL_MS 1 /* libuv before 1.45 runs a timer of 0 ms again before it polls */
#define LATE_MS   100

/* The epoll descriptor of a loop is readable when one of the loop's descriptors is ready. */
static bool deadline_is_ready(const uv_loop_t *loop)
{
    struct pollfd ask = { .fd = uv_backend_fd(loop), .events = POLLIN };
    return poll(&ask, 1, 0) == 1;
}

/* The first time the loop polls in any case: libuv adds new descriptors to its epoll set only when
 * it polls, so deadline_is_ready() would not see them. */
static void on_deadline_timer(uv_timer_t *timer)
{
    struct deadline *d = (struct deadline *)timer; /* timer is its first member */
    if (d->polls == 0)
        d->late = uv_now(timer->loop) > d->due + LATE_MS;
    if (d->polls == 0 || (d->polls < DEADLINE_POLLS_MAX && deadline_is_ready(timer->loop))) {
        d->polls++;
        uv_timer_start(timer, on_deadline_timer, REPOLL_MS, 0);
    } else {
        d->expired(timer);
    }
}

void deadline_init(struct deadline *d, uv_loop_t *loop)
{
    uv_timer_init(loop, &d->timer); /* cannot fail */
    d->expired = NULL;
    d->due = 0;
    d->late = false;
    d->polls = 0;
}

void deadline_start(struct deadline *d, uv_timer_cb expired, uint64_t ms)
{
    d->expired = expired;
    d->due = uv_now(d->timer.loop) + ms;
    d->late = false;
    d->polls = 0;
    uv_timer_start(&d->timer, on_deadline_timer, ms, 0);
}

void deadline_stop(struct deadline *d)
{
    uv_timer_stop(&d->timer);
}
