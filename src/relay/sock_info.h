/* What the kernel knows of a connection: tcp(7) TCP_INFO, and its queues. */
#ifndef ZPROXY_RELAY_SOCK_INFO_H
#define ZPROXY_RELAY_SOCK_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct sock_info {
    bool known;            /* nothing else is good while this is false: no socket */
    bool tcp;              /* likewise for those down to unacked */
    const char *state;     /* static text: "established", "close_wait" ... */
    uint64_t rtt;          /* µs, smoothed */
    uint64_t rtt_variance; /* µs */
    uint64_t retransmits;  /* segments, since it was connected */
    uint64_t window;       /* congestion window, segments */
    uint64_t unacked;      /* segments on their way */
    uint64_t unread;       /* bytes that have come and wait to be read */
    uint64_t unsent;       /* bytes that the peer has not acknowledged, or read, yet */
};

/* fd -1: of none. */
void sock_info(int fd, struct sock_info *info);

#endif
