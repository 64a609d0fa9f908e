/* Relaying: pumps both flows of a session, within its rate limits, until both have ended or one has
 * failed. For the worker's thread. */
#ifndef ZPROXY_SESSION_RELAY_H
#define ZPROXY_SESSION_RELAY_H

#include "session/session.h"

/* In SESSION_RELAYING: moves what can be moved now, passes FIN on, and ends the session when both
 * directions have ended or one has failed. */
void relay_process(struct session *s);

/* For a side that has failed. Delivers the bytes that the side had received, without a rate limit,
 * as far as the other side takes them at once. Then ends the session, which passes the reset on. */
void relay_fail(struct session *s, struct side *failed);

#endif
