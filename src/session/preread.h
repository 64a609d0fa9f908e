/* What is read before a server is chosen: the PROXY header of a proxy in front, and the hello of a
 * TLS client.
 *
 * The header is read to its end and no byte further. The hello is only peeked at (MSG_PEEK), so it
 * is relayed unchanged. If bytes are missing, the session waits for the next event of the client;
 * unread bytes cause no events meanwhile, because the event set is edge-triggered. For the worker's
 * thread.
 */
#ifndef ZPROXY_SESSION_PREREAD_H
#define ZPROXY_SESSION_PREREAD_H

#include "session/session.h"

enum preread_result {
    PREREAD_WAITS, /* for more bytes */
    PREREAD_DONE,  /* the pool and the client's address are known: the session may connect */
    PREREAD_ENDED, /* the session has ended */
};

/* Whether sessions of the frontend begin with a preread. */
bool preread_is_wanted(const struct frontend *frontend);

/* When the first bytes of the client must be complete, ms. */
uint64_t preread_deadline(const struct session *s);

/* Starts the preread. The state is SESSION_PREREADING if bytes are missing. */
enum preread_result preread_begin(struct session *s);

/* In SESSION_PREREADING: handle an event of the client; handle the timeout at wait_until. */
enum preread_result preread_process(struct session *s);
enum preread_result preread_expire(struct session *s);

/* Sets the session's pool by the route that matches, and the hash of the name. */
struct hello;
void preread_choose_route(struct session *s, const struct hello *hello);

#endif
