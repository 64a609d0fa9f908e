/* After a TLS handshake: gives the connection to the kernel if that is possible, so that the
 * session is spliced and can be handed over. For the worker's thread. */
#ifndef ZPROXY_SESSION_TLS_SWITCH_H
#define ZPROXY_SESSION_TLS_SWITCH_H

#include "session/session.h"

/* Sets SIDE_KTLS or SIDE_TLS; both directions of the connection are in the same place. Where TLS
 * stays in user space, the reason is counted and shown, and logged once. Returns 0; or -EIO: the
 * connection is lost. */
int tls_switch(struct session *s, struct side *sd, const struct config_tls *conf);

#endif
