/* The TLS handshake with the client of a session, where TLS ends here. It takes place after the
 * PROXY header, and before a server is chosen: the route uses the name and the protocol of it. For
 * the worker's thread. */
#ifndef ZPROXY_SESSION_TLS_HANDSHAKE_H
#define ZPROXY_SESSION_TLS_HANDSHAKE_H

#include "session/preread.h"
#include "session/session.h"

/* Starts the handshake. The state is SESSION_HANDSHAKING if bytes are missing. until: ms, when it
 * must be complete. The result as of a preread. */
enum preread_result tls_handshake_begin(struct session *s, uint64_t until);

/* In SESSION_HANDSHAKING: handle an event of the client; handle the timeout at wait_until. */
enum preread_result tls_handshake_process(struct session *s);
enum preread_result tls_handshake_expire(struct session *s);

#endif
