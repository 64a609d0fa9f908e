/* How a session comes to a server: picks one, connects, tries the next, waits for a place, falls
 * back on another pool. */
#ifndef ZPROXY_SESSION_CONNECT_H
#define ZPROXY_SESSION_CONNECT_H

#include "session/session.h"

enum connect_result {
    CONNECT_WAITS,   /* something is under way */
    CONNECT_REACHED, /* a server: the session can relay */
    CONNECT_ANSWERS, /* the pool's answer is a file: s->file */
    CONNECT_RESET,   /* the server accepted the connection and reset it */
    CONNECT_ENDED,   /* no server is left; the session has ended */
};

/* Looks for a server in the session's pool. on_server_event is called for the server's socket. */
enum connect_result connect_next(struct session *s);

/* Takes over a socket that connects, or is connected, to s->target, and watches it. Returns 0, or
 * -errno and fd stays the caller's. */
int connect_watch(struct session *s, int fd);

/* In SESSION_CONNECTING: the server's socket has said something. */
enum connect_result connect_finish(struct session *s);

/* In SESSION_CONNECTING, _PAUSING, _WAITING: wait_until is past. */
enum connect_result connect_expire(struct session *s);

/* For a session that stood in a queue in another process, until wait_until: stands in ours. */
enum connect_result connect_requeue(struct session *s);

/* In SESSION_WAITING, or _ENDED just now: there is a place, s->wait->waiter.granted; or NULL: it
 * has waited in vain. */
enum connect_result connect_granted(struct session *s);

#endif
