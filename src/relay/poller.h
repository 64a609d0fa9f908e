/* The worker's epoll set, with its libuv loop inside.
 *
 * libuv's uv_poll_t costs six or more epoll_ctl(2) a socket and a second wait a wake-up if it
 * watches a set of ours. So it is the other way round, as libuv's "embedding" allows: the thread
 * waits in this set, sockets are added once, and the loop's own descriptor (uv_backend_fd) is one
 * member of the set: uv_async_send() works as everywhere, and costs nothing per event. Timers are
 * not the loop's here: it would have to be asked for them at every wake-up.
 */
#ifndef ZPROXY_RELAY_POLLER_H
#define ZPROXY_RELAY_POLLER_H

#include <stdint.h>
#include <uv.h>

#include "relay/busy_poll.h"

/* What is called when a socket has something to say; embedded in the socket's owner. The owner
 * keeps the memory until the wake-up is over, since later events of the same wake-up may still
 * point to it. */
struct watch {
    void (*on_event)(struct watch *watch, uint32_t events); /* EPOLLIN, EPOLLOUT... */
};

struct poller {
    int fd;
    uv_loop_t *loop;
    struct busy_poll busy_poll;
    uint64_t wakeups; /* so far */
    uint64_t now;     /* ms, CLOCK_MONOTONIC: when the present one began */
    uint64_t settled; /* ms: everything that was ready at that time has been handled */
    uint64_t resumed; /* ms: when a wake-up last came much later than was asked for; 0: never */
    uint64_t series_began; /* ms: of batches that were full */
    uint32_t full_batches; /* of this series */
    int highest_fd;        /* ever watched */
};

/* loop must outlive the poller, and have all its handles: no timers. vigil: when a wait looks again
 * and again, for `us`, before it sleeps. Returns 0 or -errno. */
int poller_init(struct poller *p, uv_loop_t *loop, enum busy_poll_mode busy_poll, uint64_t us);
void poller_fini(struct poller *p);

/* Whether a loop has room for one more descriptor to watch, fd. libuv ends the process when it
 * finds that there is none (ENOSPC, ENOMEM): so it is asked before. Returns 0 or -errno. */
int poller_check_loop(const uv_loop_t *loop, int fd);

/* events as for epoll_ctl(2). Closing the descriptor takes it out. Return 0 or -errno. */
int poller_add(struct poller *p, int fd, uint32_t events, struct watch *watch);
int poller_change(struct poller *p, int fd, uint32_t events, struct watch *watch);

/* Takes a descriptor out that stays open. */
void poller_remove(struct poller *p, int fd);

/* One wake-up: waits at most timeout ms (0: not at all; -1: for as long as it takes), reads the
 * clock once (p->now), calls the watches and then lets the loop run if it is ready.
 *
 * A timeout must be compared with p->settled, not with p->now: the process may have been stopped,
 * or held up by a disk, and what would have prevented the timeout may wait in the kernel.
 * p->settled follows p->now as soon as a wait has returned all that was ready: not after EINTR, nor
 * while a batch is full. */
void poller_wait(struct poller *p, int timeout);

#endif
