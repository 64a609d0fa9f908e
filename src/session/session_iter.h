/* A walk over all sessions of a worker that may take several wake-ups, so that looking at thousands
 * does not keep one of them waiting. Sessions that begin meanwhile may be left out; one that ends
 * is. For the worker's thread. */
#ifndef ZPROXY_SESSION_SESSION_ITER_H
#define ZPROXY_SESSION_SESSION_ITER_H

#include <sys/queue.h>

#include "session/session.h"

struct session_iter {
    struct session *next;
    LIST_ENTRY(session_iter) in_sessions;
};

void session_iter_init(struct session_iter *it, struct sessions *all);
/* NULL at the end. The session may be ended, and others too, before the next call. */
struct session *session_iter_next(struct session_iter *it);
void session_iter_fini(struct session_iter *it);

/* To be called before a session leaves the list of all. */
void session_iter_skip(const struct session *s);

#endif
