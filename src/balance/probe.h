/* One check of one server: connects, then sends and receives step by step. A state machine on one
 * socket, without loop and clock; the caller passes events and ends the probe when its time is
 * over.
 *
 * What the server sends stays in the kernel (MSG_PEEK) until it suffices for a step, so a probe has
 * no buffer, except with TLS. A probe whose script only connects ends with a reset, which is sent
 * before the handshake's last acknowledgement (TCP_QUICKACK, tcp(7)): the server's kernel has
 * answered, the server never sees the connection and logs nothing. If bytes were sent, the
 * connection is closed in order, so that the server has no error to log.
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
#define PROBE_RECEIVE_MAX 4096      /* bytes of an answer that are searched */
#define PROBE_INTERIM_MAX 65536     /* bytes of interim answers of HTTP */
#define PROBE_DISCARD_MAX (1 << 18) /* bytes after the answer, before a reset */

enum probe_outcome {
    PROBE_RUNNING,
    PROBE_PASSED,
    PROBE_FAILED,
    PROBE_UNKNOWN, /* no result: this machine lacks ports, descriptors or memory */
};

enum probe_state {
    PROBE_CONNECT,   /* waits until connected */
    PROBE_HANDSHAKE, /* of TLS: waits for the server */
    PROBE_SEND,      /* waits for room in the socket */
    PROBE_RECEIVE,   /* waits for bytes from the server */
    PROBE_CLOSE,     /* the outcome is known; waits until the server closes */
};

struct probe_tls;

struct probe {
    const struct script *script;
    int fd; /* -1: no connection */
    enum probe_state state;
    enum http_position http_position;
    bool has_ended;        /* the server sends nothing more */
    size_t step;           /* the current step of the script */
    size_t received;       /* the last step whose expectation was met; the number of steps: none */
    size_t sent;           /* bytes sent of this step */
    struct probe_tls *tls; /* NULL: no TLS, or it has ended */
    size_t dropped;        /* bytes dropped: of interim answers; in PROBE_CLOSE, all that arrive */
    char why[PROBE_WHY_MAX]; /* how the last probe ended, as text */
};

/* The events for epoll_ctl(2). Edge-triggered, since received bytes stay unread in the socket. */
#define PROBE_EVENTS (EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)

void probe_init(struct probe *p);

/* Starts a probe; script outlives it. On every outcome but PROBE_RUNNING, here and below, the probe
 * has ended and p->why is set. Then the socket is closed, or it is being closed in order
 * (PROBE_CLOSE): the caller passes further events, and calls probe_stop() if that takes too long.
 */
enum probe_outcome probe_start(struct probe *p, const struct script *script);

/* Handles events from epoll_wait(2). In PROBE_CLOSE the result is always PROBE_RUNNING. */
enum probe_outcome probe_step(struct probe *p, uint32_t events);

/* Handles the present events of the socket, by poll(2). */
enum probe_outcome probe_poll(struct probe *p);

/* Ends the probe after its timeout (ms). Handles pending events first, since the process may have
 * been stalled. Never returns PROBE_RUNNING. */
enum probe_outcome probe_expire(struct probe *p, uint64_t timeout);

/* Ends the probe if its socket cannot be watched, with an errno value. Returns PROBE_UNKNOWN. */
enum probe_outcome probe_give_up(struct probe *p, int error);

/* Ends the probe without an outcome. May be called again. */
void probe_stop(struct probe *p);

#endif
