/* One check of one server: connect, then step by step send and hear. A state machine on one socket;
 * it knows neither loop nor clock.
 *
 * What the server sends stays in the kernel until there is enough of it (MSG_PEEK), so a probe has
 * no buffer. A probe whose script wants a TCP connection alone ends with a reset, which overtakes
 * the handshake's last acknowledgement (TCP_QUICKACK, tcp(7)): the server's kernel has agreed, the
 * server never sees the connection and logs nothing. Once something has been said, the connection
 * is ended in order, so that the server has no error to log either.
 */
#ifndef ZPROXY_BALANCE_PROBE_H
#define ZPROXY_BALANCE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "balance/http_status.h"
#include "balance/script.h"

#define PROBE_WHY_MAX     256
#define PROBE_RECEIVE_MAX 4096      /* bytes of an answer among which those wanted must be */
#define PROBE_INTERIM_MAX 65536     /* bytes of interim answers of HTTP */
#define PROBE_DISCARD_MAX (1 << 18) /* bytes that come behind what was wanted, until a reset */

enum probe_outcome {
    PROBE_RUNNING,
    PROBE_PASSED,
    PROBE_FAILED,
    PROBE_UNKNOWN, /* this machine lacks ports, descriptors or memory: nothing about the server */
};

enum probe_state {
    PROBE_CONNECT, /* waits for the connection to be there */
    PROBE_SEND,    /* waits for room for what is left to send */
    PROBE_RECEIVE, /* waits for more of what the server sends */
    PROBE_CLOSE,   /* the outcome is known; waits for the server's end of the connection */
};

struct probe {
    const struct script *script;
    int fd; /* -1: there is no connection */
    enum probe_state state;
    enum http_position http_position;
    bool has_ended;  /* the server sends no more */
    size_t step;     /* of the script: under way */
    size_t received; /* the last step that has heard what it expects; the script's count: none */
    size_t sent;     /* bytes of this step */
    size_t dropped;  /* bytes of interim answers; in PROBE_CLOSE of what comes then */
    char why[PROBE_WHY_MAX]; /* how it ended, in words; as it was while it runs */
};

/* What to watch its socket for with epoll_ctl(2). Edges are enough, and needed: what is heard stays
 * unread. */
#define PROBE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void probe_init(struct probe *p);

/* Begins a probe; script outlives it. On every outcome but PROBE_RUNNING it has ended, here and
 * below: p->why is set. The socket is closed then, or its connection is being ended in order
 * (PROBE_CLOSE): give it further events, and stop it when that takes too long. */
enum probe_outcome probe_start(struct probe *p, const struct script *script);

/* Something has happened at its socket: events as epoll_wait(2) gives them. In PROBE_CLOSE always
 * PROBE_RUNNING. */
enum probe_outcome probe_step(struct probe *p, uint32_t events);

/* Looks at what has happened at its socket, without an event. */
enum probe_outcome probe_poll(struct probe *p);

/* Its time, `timeout` ms, is over. Looks once more at what has come before judging: it may be us
 * who were late. Never PROBE_RUNNING. */
enum probe_outcome probe_expire(struct probe *p, uint64_t timeout);

/* It cannot be watched: error says why. Always PROBE_UNKNOWN. */
enum probe_outcome probe_give_up(struct probe *p, int error);

/* Ends it without an outcome; it may have ended already. */
void probe_stop(struct probe *p);

#endif
