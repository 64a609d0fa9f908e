/* The addresses of the two connections of a session. */
#ifndef ZPROXY_SESSION_SESSION_ADDR_H
#define ZPROXY_SESSION_SESSION_ADDR_H

#include "base/addr.h"
#include "session/session.h"

/* The other addresses of a session that began with a PROXY header. */
struct proxy_info {
    struct addr_peer peer;        /* the peer of the socket: the proxy */
    struct addr_peer destination; /* the address that the client connected to */
};

/* Sets *at to the local address of the client's socket; of a unix socket, as the configuration
 * writes it. Returns false if there is none. */
bool session_addr_local(const struct session *s, struct addr *at);

/* The address that the client connected to: from the PROXY header, or else the local address. */
struct addr_peer session_addr_destination(const struct session *s);

/* The address of s->target. A server without a port has the port that the client connected to. */
struct addr session_addr_server(const struct session *s);

#endif
