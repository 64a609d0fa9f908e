#include "relay/event_set.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "relay/syscall.h"

#define NS_PER_US   1000u
#define NS_PER_S    1000000000u
#define LOOK_SERIES 8
#define LATE        100 /* ms after the time asked for: the process was stopped or held up */

/* The time of a look that finds no event, ns: the shortest of a few series, because other threads
 * may interrupt. */
static uint64_t time_look(struct event_set *s)
{
    uint64_t least = UINT64_MAX;
    for (int series = 0; series < LOOK_SERIES; series++) {
        uint64_t began = uv_hrtime();
        for (int i = 0; i < LOOK_SERIES; i++)
            (void)event_set_look(s);
        uint64_t took = (uv_hrtime() - began) / LOOK_SERIES;
        if (took < least)
            least = took;
    }
    return least == 0 ? 1 : least;
}

static uint64_t cpu_time(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

int event_set_init(struct event_set *s, const uv_loop_t *loop, enum busy_poll_mode busy_poll,
                   uint64_t us)
{
    s->awake = false;
    s->loop = loop;
    s->wakeups = 0;
    s->now = s->before = s->settled = uv_now(loop);
    s->due = UINT64_MAX;
    s->resumed = s->held_from = s->held_until = 0;
    s->full_batches = 0;
    s->highest_fd = 0;
    s->fd = epoll_create1(EPOLL_CLOEXEC);
    if (s->fd == -1)
        return -errno;
    busy_poll_init(&s->busy_poll, busy_poll, (uint32_t)(us * NS_PER_US / time_look(s) + 1),
                   cpu_time);
    return 0;
}

void event_set_fini(struct event_set *s)
{
    close(s->fd);
    s->fd = -1;
}

int event_set_add(struct event_set *s, int fd, uint32_t events, struct watch *watch)
{
    struct epoll_event ev = { .events = events, .data.ptr = watch };
    if (fd > s->highest_fd)
        s->highest_fd = fd;
    return epoll_ctl(s->fd, EPOLL_CTL_ADD, fd, &ev) == -1 ? -errno : 0;
}

void event_set_remove(struct event_set *s, int fd)
{
    (void)epoll_ctl(s->fd, EPOLL_CTL_DEL, fd, NULL); /* it may have been removed already */
}

/* Whether the wake-up begins long after it was wanted. */
static bool is_late(const struct event_set *s, uint64_t now)
{
    uint64_t asked = s->due > s->now ? s->due : s->now;
    return now > asked && now - asked > LATE;
}

void event_set_wake(struct event_set *s)
{
    uint64_t now = uv_now(s->loop);
    if (is_late(s, now))
        s->resumed = now;
    if (!s->awake) {
        s->before = s->now;
        s->wakeups++;
    }
    s->now = now;
    s->awake = true;
}

void event_set_sleep(struct event_set *s, uint64_t due)
{
    uint64_t now = uv_now(s->loop);
    if (s->awake && now - s->now > LATE) {
        s->held_from = s->now;
        s->held_until = now;
    }
    s->awake = false;
    s->due = due;
}

int event_set_look(struct event_set *s)
{
    return sys_epoll_wait(s->fd, s->events, EVENT_SET_BATCH, 0);
}

/* The `count` events of a look have been handled. The look came after the previous wake-up began.
 * The kernel returns descriptors in the order in which they became ready, so a series of full
 * batches that is longer than the number of descriptors contains everything that was ready when it
 * began: without that, timeouts would stop under overload. */
static void note_settled(struct event_set *s, int count)
{
    if (count < 0) /* EINTR */
        return;
    if (count < EVENT_SET_BATCH) {
        s->settled = s->before;
        s->full_batches = 0;
        return;
    }
    if (s->full_batches++ == 0)
        s->series_began = s->before;
    if ((uint64_t)s->full_batches * EVENT_SET_BATCH > (uint64_t)s->highest_fd) {
        s->settled = s->series_began;
        s->full_batches = 0;
    }
}

void event_set_dispatch(struct event_set *s, int count)
{
    for (int i = 0; i < count; i++) {
        struct watch *watch = s->events[i].data.ptr;
        watch->on_event(watch, s->events[i].events);
    }
    if (count > 0)
        busy_poll_count(&s->busy_poll, count);
    note_settled(s, count);
}
