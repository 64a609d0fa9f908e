/* How a session gets a server: it picks one, connects, tries the next one after a failure, waits in
 * the queue for a slot, and falls back on another pool. For the worker's thread. */
#ifndef ZPROXY_SESSION_CONNECT_H
#define ZPROXY_SESSION_CONNECT_H

#include "session/session.h"

enum connect_result {
    CONNECT_WAITS,   /* for the server, the queue or a pause */
    CONNECT_REACHED, /* the server accepted: the session can relay */
    CONNECT_ANSWERS, /* the pool's answer is a file: s->file */
    CONNECT_RESET,   /* the server accepted the connection and reset it */
    CONNECT_ENDED,   /* no server is left; the session has ended */
};

/* Picks a server of the session's pool and begins to connect. Events of the server's socket go to
 * s->sessions->on_server_event. */
enum connect_result connect_next(struct session *s);

/* The key of the session for balance "hash"; 0 with other policies. */
uint64_t connect_key(const struct session *s);

/* Takes ownership of fd, a socket that connects or is connected to s->target, and watches it.
 * Returns 0; or -errno, and fd still belongs to the caller. */
int connect_watch(struct session *s, int fd);

/* In SESSION_CONNECTING: handles an event of the server's socket. */
enum connect_result connect_finish(struct session *s);

/* In SESSION_SERVER_HANDSHAKING: likewise. */
enum connect_result connect_handshake(struct session *s);

/* In SESSION_CONNECTING, _SERVER_HANDSHAKING, _PAUSING or _WAITING: handles the timeout at
 * wait_until. */
enum connect_result connect_expire(struct session *s);

/* Puts a session that came by a handover into the queue, until wait_until: it was in the queue of
 * the old process. */
enum connect_result connect_requeue(struct session *s);

/* In SESSION_WAITING, or in SESSION_ENDED if the session ended in this wake-up: handles the end of
 * the wait. s->wait->waiter.granted is the server whose slot the session got; NULL: none. */
enum connect_result connect_granted(struct session *s);

#endif
