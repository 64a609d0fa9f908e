/* The TLS handshake with the server of a session, where its pool has tls = yes. It takes place
 * after the PROXY header, and is a part of the attempt to connect: a failure is one of the attempt.
 * For the worker's thread. */
#ifndef ZPROXY_SESSION_TLS_CONNECT_H
#define ZPROXY_SESSION_TLS_CONNECT_H

#include "session/session.h"

/* Prepares the handshake on a connected socket. Returns 0 or -ENOMEM. */
int tls_connect_begin(struct session *s);

/* Continues it, also after an event. Returns 0: complete; -EAGAIN: waits for the server; or another
 * -errno, and s->server.tls->error says why. */
int tls_connect_process(struct session *s);

/* Whether the server's side has an event that tls_connect_process() waits for. */
bool tls_connect_has_event(const struct session *s);

/* The attempt has failed, with this error: counts the handshake, and frees what it had, except the
 * reason. */
void tls_connect_failed(struct session *s, int error);

/* Whether the name that the server was asked for is one that the client chose: then a failure may
 * be the client's. */
bool tls_connect_is_named_by_client(const struct session *s);

#endif
