/* The epoll set with the sockets of a worker's sessions.
 *
 * A uv_poll_t for each socket would cost six or more epoll_ctl(2) per session. So these sockets are
 * in an epoll set of their own: each is added once, edge-triggered. The worker's loop watches the
 * set's descriptor with one uv_poll_t (control/worker_loop.c).
 */
#ifndef ZPROXY_RELAY_EVENT_SET_H
#define ZPROXY_RELAY_EVENT_SET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <uv.h>

#include "relay/busy_poll.h"

#define EVENT_SET_BATCH 256 /* events per look at most; the rest waits for the next look */

/* The callback for the events of a socket; embedded in the socket's owner. The owner keeps the
 * memory until the wake-up is over, since later events of the same wake-up may still point to
 * it. */
struct watch {
    void (*on_event)(struct watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT... */
};

struct event_set {
    int fd;
    bool awake; /* from event_set_wake() to event_set_sleep() */
    const uv_loop_t *loop;
    struct busy_poll busy_poll;
    uint64_t wakeups;   /* so far */
    uint64_t now;       /* ms, CLOCK_MONOTONIC: when the loop last read the clock in this wake-up */
    uint64_t before;    /* ms: `now` of the previous wake-up */
    uint64_t due;       /* ms: when the next wake-up is wanted; UINT64_MAX: at no time */
    uint64_t settled;   /* ms: everything that was ready at that time has been handled */
    uint64_t resumed;   /* ms: when a wake-up last came much later than wanted; 0: never */
    uint64_t held_from; /* ms: `now` of the last wake-up that was held up (SIGSTOP, a disk) */
    uint64_t held_until;   /* ms: when that wake-up ended; 0: none was held up */
    uint64_t series_began; /* ms: when the present series of full batches began */
    uint32_t full_batches; /* of this series */
    int highest_fd;        /* ever watched */
    struct epoll_event events[EVENT_SET_BATCH];
};

/* loop: gives the time (uv_now()), and must outlive the set. busy_poll, us: when and how long
 * (microseconds) the worker polls the set before it sleeps. Returns 0 or -errno. */
int event_set_init(struct event_set *s, const uv_loop_t *loop, enum busy_poll_mode busy_poll,
                   uint64_t us);
void event_set_fini(struct event_set *s);

/* Adds a descriptor; events as for epoll_ctl(2). Closing the descriptor removes it. Returns 0 or
 * -errno. */
int event_set_add(struct event_set *s, int fd, uint32_t events, struct watch *watch);

/* Removes a descriptor that stays open. */
void event_set_remove(struct event_set *s, int fd);

/* A wake-up begins with the first event_set_wake(), which every callback of the loop calls before
 * all else, and lasts until event_set_sleep(). Each call takes the time from the loop: a poll that
 * follows a busy-poll belongs to the same wake-up, but the process may have been stopped in
 * between. due: when the next one is wanted, ms; UINT64_MAX: only when there is an event. */
void event_set_wake(struct event_set *s);
void event_set_sleep(struct event_set *s, uint64_t due);

/* event_set_look() fetches what is ready, without waiting, and returns the number of events, or
 * -errno. event_set_dispatch() takes that result and calls the watches, within a wake-up.
 *
 * Compare a timeout with s->settled, not with s->now: the process may have been stopped, or held up
 * by a disk, and what would have prevented the timeout may still wait in the kernel. s->settled
 * becomes the time of the previous wake-up when a look has returned all that was ready; it stays
 * behind after EINTR, and while batches are full. */
int event_set_look(struct event_set *s);
void event_set_dispatch(struct event_set *s, int count);

#endif
