#include "relay/poller.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "relay/syscall.h"

#define POLLER_EVENTS 256 /* a wake-up; the rest waits for the next one */
#define NS_PER_US     1000u
#define LOOK_SERIES   8
#define LATE          100 /* ms after the time asked for: the process was stopped or held up */

static uint64_t poller_clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static int poller_epoll_wait(const struct poller *p, struct epoll_event *events, int timeout)
{
    return sys_epoll_wait(p->fd, events, POLLER_EVENTS, timeout);
}

/* What a look in vain takes, ns: the least of a few series, since others may be at work. */
static uint64_t time_look(const struct poller *p)
{
    struct epoll_event event;
    uint64_t least = UINT64_MAX;
    for (int series = 0; series < LOOK_SERIES; series++) {
        uint64_t began = uv_hrtime();
        for (int i = 0; i < LOOK_SERIES; i++)
            (void)sys_epoll_wait(p->fd, &event, 1, 0);
        uint64_t took = (uv_hrtime() - began) / LOOK_SERIES;
        if (took < least)
            least = took;
    }
    return least == 0 ? 1 : least;
}

int poller_check_loop(const uv_loop_t *loop, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int set = uv_backend_fd(loop);
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) == -1)
        return errno == EEXIST ? 0 : -errno;
    (void)epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
    return 0;
}

/* libuv adds a handle to the loop's own set only as the loop runs. */
int poller_init(struct poller *p, uv_loop_t *loop, enum busy_poll_mode busy_poll, uint64_t us)
{
    p->loop = loop;
    p->wakeups = 0;
    p->now = p->settled = poller_clock_ms();
    p->resumed = 0;
    p->full_batches = 0;
    p->highest_fd = 0;
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd == -1)
        return -errno;
    int rc = poller_check_loop(loop, p->fd);
    if (rc == 0) {
        uv_run(loop, UV_RUN_NOWAIT);
        rc = poller_add(p, uv_backend_fd(loop), EPOLLIN, NULL);
    }
    if (rc < 0)
        poller_fini(p);
    else
        busy_poll_init(&p->busy_poll, busy_poll, (uint32_t)(us * NS_PER_US / time_look(p) + 1));
    return rc;
}

void poller_fini(struct poller *p)
{
    close(p->fd);
    p->fd = -1;
}

static int control(struct poller *p, int op, int fd, uint32_t events, struct watch *watch)
{
    struct epoll_event ev = { .events = events, .data.ptr = watch };
    return sys_epoll_ctl(p->fd, op, fd, &ev);
}

int poller_add(struct poller *p, int fd, uint32_t events, struct watch *watch)
{
    if (fd > p->highest_fd)
        p->highest_fd = fd;
    return control(p, EPOLL_CTL_ADD, fd, events, watch);
}

int poller_change(struct poller *p, int fd, uint32_t events, struct watch *watch)
{
    return control(p, EPOLL_CTL_MOD, fd, events, watch);
}

void poller_remove(struct poller *p, int fd)
{
    (void)epoll_ctl(p->fd, EPOLL_CTL_DEL, fd, NULL); /* it may be out already */
}

static int await_events(struct poller *p, struct epoll_event *events, int timeout)
{
    uint32_t looks = timeout == 0 ? 0 : busy_poll_begin(&p->busy_poll);
    if (looks == 0)
        return poller_epoll_wait(p, events, timeout);
    int n = 0;
    while (looks-- > 0 && n == 0)
        n = poller_epoll_wait(p, events, 0);
    busy_poll_end(&p->busy_poll, n != 0);
    return n != 0 ? n : poller_epoll_wait(p, events, timeout);
}

/* n events of a wait that began at `before` have been handled. The kernel returns descriptors in
 * the order in which they became ready, so a series of full batches that is longer than the number
 * of descriptors contains everything that was ready when it began: without that, timeouts would
 * stop under overload. */
static void note_settled(struct poller *p, int n, uint64_t before)
{
    if (n < 0) /* EINTR */
        return;
    if (n < POLLER_EVENTS) {
        p->settled = before;
        p->full_batches = 0;
        return;
    }
    if (p->full_batches++ == 0)
        p->series_began = before;
    if ((uint64_t)p->full_batches * POLLER_EVENTS > (uint64_t)p->highest_fd) {
        p->settled = p->series_began;
        p->full_batches = 0;
    }
}

static bool is_late(uint64_t before, int timeout, uint64_t now)
{
    return timeout >= 0 && now > before + (uint64_t)timeout + LATE;
}

void poller_wait(struct poller *p, int timeout)
{
    struct epoll_event events[POLLER_EVENTS];
    uint64_t before = p->now;
    int n = await_events(p, events, timeout);
    p->now = poller_clock_ms();
    if (is_late(before, timeout, p->now))
        p->resumed = p->now;
    p->wakeups++;
    bool loop_ready = false;
    for (int i = 0; i < n; i++) {
        struct watch *watch = events[i].data.ptr;
        if (watch == NULL)
            loop_ready = true;
        else
            watch->on_event(watch, events[i].events);
    }
    if (loop_ready)
        uv_run(p->loop, UV_RUN_NOWAIT);
    note_settled(p, n, before);
}
