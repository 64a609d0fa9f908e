/* A session that relays: both of its directions, at the rate that they may have, until both have
 * ended or one has failed. */
#ifndef ZPROXY_SESSION_RELAY_H
#define ZPROXY_SESSION_RELAY_H

#include "session/session.h"

/* In SESSION_RELAYING: moves what can be moved now, passes FIN on, and ends the session where that
 * is the end of it. */
void relay_process(struct session *s);

/* A side has failed. What had come from it is delivered as far as the other side takes it at once,
 * whatever the rate; then the session ends, and the reset is passed on. */
void relay_fail(struct session *s, struct side *failed);

#endif
