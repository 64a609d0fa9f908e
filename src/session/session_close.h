/* The end of a session.
 *
 * A session ends in two steps. session_close() marks it as ended and is allowed at any time, also
 * while events are being handled. After the events of the wake-up, sessions_reap() logs and counts
 * the session, closes its sockets, releases its slots and memory.
 *
 * For the worker's thread.
 */
#ifndef ZPROXY_SESSION_SESSION_CLOSE_H
#define ZPROXY_SESSION_SESSION_CLOSE_H

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"

/* Marks a session as ended; it must not have ended yet. Its sockets are closed and its memory is
 * freed later: closing two sockets takes longer than relaying a message, and later events of this
 * wake-up may still point to the session. */
void session_close(struct session *s, enum session_end why);

/* The same for every session, and for the sessions that relay to srv. */
void sessions_close_all(struct sessions *all, enum session_end why);
void sessions_close_on_server(struct sessions *all, const struct server *srv, enum session_end why);

/* Reaps all sessions that have ended. Not while events are being handled. */
void sessions_reap(struct sessions *all);

/* The same, but a session that is still in the list of scheduled sessions is left for the next
 * wake-up. */
void sessions_reap_unscheduled(struct sessions *all);

/* Frees a session without a log line and without counting it, and closes its sockets, which stay
 * open in the process that the session came from. */
void session_discard(struct session *s);

/* Discards all sessions but those for which stays() is true: another process has them. Not while
 * events are being handled, and after sessions_reap(). */
void sessions_keep_rest(struct sessions *all, bool (*stays)(const struct session *s));

/* Logs, counts and resets a client that gets no session, and releases its slots of max_connections.
 */
void session_refuse(struct sessions *all, struct frontend *frontend, int fd,
                    const struct addr_peer *client, uint64_t id, enum session_end why);

/* Whether another process may have the session's sockets open too: then close() does not end the
 * connection. */
bool session_is_shared(const struct session *s);

/* Call before closing a socket of a shared session: epoll keeps it registered while another process
 * holds it, and stale events would reach freed memory. */
void session_unwatch(struct session *s, const struct side *sd);

/* ---- what a session holds of its pool ---- */

/* Sets the session's pool (NULL: none), and clears the list of servers that were tried. */
void session_set_pool(struct session *s, struct pool *p);

/* Clears the list of servers of the pool that were tried. */
void session_free_tried(struct session *s);

/* Releases the slot on s->target, if the session has one. */
void session_release_server(struct session *s);

/* Frees s->wait and records the time in the queue. session_cancel_wait() first leaves the queue; it
 * does nothing when the session is in none. */
void session_end_wait(struct session *s);
void session_cancel_wait(struct session *s);

#endif
