/* One check of one server: connect, send, hear. A state machine on one socket; it knows neither
 * loop nor clock.
 *
 * What the server sends stays in the kernel until there is enough of it (MSG_PEEK), so a probe has
 * no buffer. It ends with a reset: no TIME_WAIT is left on either side. Where the script wants a
 * TCP connection alone, the reset overtakes the handshake's last acknowledgement (TCP_QUICKACK,
 * tcp(7)): the server's kernel has agreed, the server never sees the connection and logs nothing.
 */
#ifndef ZPROXY_BALANCE_PROBE_H
#define ZPROXY_BALANCE_PROBE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "balance/script.h"

#define PROBE_WHY_MAX  256
#define PROBE_HEAR_MAX 4096 /* bytes among which those wanted must be */

enum probe_outcome {
    PROBE_RUNNING,
    PROBE_PASSED,
    PROBE_FAILED,
    PROBE_UNKNOWN, /* this machine lacks ports, descriptors or memory: nothing about the server */
};

enum probe_state {
    PROBE_CONNECT, /* waits for the connection to be there */
    PROBE_SEND,    /* waits for room for what is left to send */
    PROBE_HEAR,    /* waits for more of what the server sends */
};

struct probe {
    const struct script *script;
    int fd; /* -1: it does not run */
    enum probe_state state;
    size_t sent;
    char why[PROBE_WHY_MAX]; /* how it ended, in words; as it was while it runs */
};

/* What to watch its socket for with epoll_ctl(2). Edges are enough, and needed: what is heard stays
 * unread. */
#define PROBE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void probe_init(struct probe *p);

/* Begins a probe; script outlives it. On every outcome but PROBE_RUNNING it has ended, here and
 * below: p->why is set, and the socket is closed. */
enum probe_outcome probe_start(struct probe *p, const struct script *script);

/* Something has happened at its socket: events as epoll_wait(2) gives them. */
enum probe_outcome probe_step(struct probe *p, uint32_t events);

/* Looks at what has happened at its socket, without an event. */
enum probe_outcome probe_look(struct probe *p);

/* Its time, `timeout` ms, is over. Looks once more at what has come before judging: it may be us
 * who were late. Never PROBE_RUNNING. */
enum probe_outcome probe_expire(struct probe *p, uint64_t timeout);

/* It cannot be watched: error says why. Always PROBE_UNKNOWN. */
enum probe_outcome probe_give_up(struct probe *p, int error);

/* Ends it without an outcome; it may have ended already. */
void probe_stop(struct probe *p);

/* Writes the first line of data, without its end, between double quotes and with C escapes; "..."
 * stands for what was left out. Returns out. */
#define PROBE_QUOTE_MAX 80
const char *probe_quote(char out[PROBE_QUOTE_MAX], const void *data, size_t len);

#endif
