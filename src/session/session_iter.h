/* A walk over all sessions of a worker that may take several wake-ups, so that a walk over
 * thousands does not delay relaying. Sessions that begin meanwhile may be left out; sessions that
 * end are. For the worker's thread. */
#ifndef ZPROXY_SESSION_SESSION_ITER_H
#define ZPROXY_SESSION_SESSION_ITER_H

#include <sys/queue.h>

#include "session/session.h"

struct session_iter {
    struct session *next;
    LIST_ENTRY(session_iter) in_sessions;
};

void session_iter_init(struct session_iter *it, struct sessions *all);
/* Returns the next session, or NULL at the end. The caller may end this and other sessions before
 * the next call. */
struct session *session_iter_next(struct session_iter *it);
void session_iter_fini(struct session_iter *it);

/* Must be called before a session is removed from sessions.all. */
void session_iter_skip(const struct session *s);

#endif
