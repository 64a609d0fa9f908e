/* A walk over all sessions of a worker that may take several wake-ups, so that looking at thousands
 * does not keep one of them waiting. Sessions that begin meanwhile may be left out; one that ends
 * is. For the worker's thread. */
#ifndef ZPROXY_SESSION_TOUR_H
#define ZPROXY_SESSION_TOUR_H

#include <sys/queue.h>

#include "session/session.h"

struct tour {
    struct session *next;
    LIST_ENTRY(tour) in_sessions;
};

void tour_begin(struct tour *t, struct sessions *all);
/* NULL at the end. The session may be ended, and others too, before the next call. */
struct session *tour_next(struct tour *t);
void tour_end(struct tour *t);

/* To be called before a session leaves the list of all. */
void tour_leave(const struct session *s);

#endif
