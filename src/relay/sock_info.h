/* The kernel's figures of a connection: TCP_INFO, tcp(7), and its queues. */
#ifndef ZPROXY_RELAY_SOCK_INFO_H
#define ZPROXY_RELAY_SOCK_INFO_H

#include <stdbool.h>
#include <stdint.h>

struct sock_info {
    bool known;            /* false: no socket, and no other member is valid */
    bool tcp;              /* false: the members down to unacked are not valid */
    const char *state;     /* static text: "established", "close_wait" ... */
    uint64_t rtt;          /* µs, smoothed */
    uint64_t rtt_variance; /* µs */
    uint64_t retransmits;  /* segments, since it was connected */
    uint64_t window;       /* congestion window, segments */
    uint64_t unacked;      /* segments sent and not acknowledged */
    uint64_t unread;       /* bytes received and not read */
    uint64_t unsent;       /* bytes that the peer has not acknowledged (unix sockets: not read) */
};

/* The smoothed round trip time in µs; 0: unknown, or not TCP. */
uint64_t sock_info_rtt(int fd);

/* fd -1: no socket. */
void sock_info(int fd, struct sock_info *info);

#endif
