#include "relay/poller.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "relay/kernel.h"

#define POLLER_EVENTS 256 /* a wake-up; the rest waits for the next one */
#define NS_PER_US     1000u

static uint64_t clock_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* libuv adds a handle to the loop's own set only as the loop runs. */
int poller_init(struct poller *p, uv_loop_t *loop, uint64_t busy_poll)
{
    p->loop = loop;
    p->busy_poll = busy_poll * NS_PER_US;
    p->wakeups = 0;
    p->now = clock_ms();
    p->fd = epoll_create1(EPOLL_CLOEXEC);
    if (p->fd == -1)
        return -errno;
    uv_run(loop, UV_RUN_NOWAIT);
    int rc = poller_add(p, uv_backend_fd(loop), EPOLLIN, NULL);
    if (rc < 0)
        poller_fini(p);
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
    return kernel_epoll_ctl(p->fd, op, fd, &ev);
}

int poller_add(struct poller *p, int fd, uint32_t events, struct watch *watch)
{
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

/* Asks again and again for as long as it may. */
static int poll_busily(struct poller *p, struct epoll_event *events)
{
    uint64_t end = uv_hrtime() + p->busy_poll;
    int n;
    do {
        n = kernel_epoll_wait(p->fd, events, POLLER_EVENTS, 0);
    } while (n == 0 && uv_hrtime() < end);
    return n;
}

static int await_events(struct poller *p, struct epoll_event *events, int timeout)
{
    int n = 0;
    if (p->busy_poll != 0 && timeout != 0)
        n = poll_busily(p, events);
    return n != 0 ? n : kernel_epoll_wait(p->fd, events, POLLER_EVENTS, timeout);
}

void poller_wait(struct poller *p, int timeout)
{
    struct epoll_event events[POLLER_EVENTS];
    int n = await_events(p, events, timeout);
    p->now = clock_ms();
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
}
