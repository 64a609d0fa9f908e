/* Around a TLS handshake: gives the connection to the kernel if that is possible, so that the
 * session is spliced and can be handed over. For the worker's thread. */
#ifndef ZPROXY_SESSION_TLS_SWITCH_H
#define ZPROXY_SESSION_TLS_SWITCH_H

#include "session/session.h"

/* Before the handshake: it takes fewer system calls where the kernel is not asked anyway. */
void tls_switch_prepare(const struct session *s, const struct side *sd,
                        const struct config_tls *conf);

/* Sets SIDE_KTLS or SIDE_TLS; both directions of the connection are in the same place. Where TLS
 * stays in user space, the reason is counted and shown, and logged once. Returns 0; or -EIO: the
 * connection is lost. */
int tls_switch(struct session *s, struct side *sd, const struct config_tls *conf);

/* The same for a connection to a server. Tickets of TLS 1.3 come behind the handshake, and only
 * OpenSSL can use them, so such a connection stays with OpenSSL until something has come: while
 * tls->defers, call tls_switch_deferred() whenever the session was pumped. It returns 1 if the
 * session must be pumped again. */
int tls_switch_later(struct session *s, struct side *sd, const struct config_tls *conf);
int tls_switch_deferred(struct session *s, struct side *sd, const struct config_tls *conf);

#endif
