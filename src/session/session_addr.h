/* Where a session's two connections lead. */
#ifndef ZPROXY_SESSION_SESSION_ADDR_H
#define ZPROXY_SESSION_SESSION_ADDR_H

#include "base/addr.h"
#include "session/session.h"

/* What a PROXY header has said of the client, beside its address. */
struct proxy_info {
    struct addr_peer peer;        /* the socket's other end: the proxy */
    struct addr_peer destination; /* what the client connected to */
};

/* The socket's own end, a unix socket's as the configuration names it. false: it has none. */
bool session_addr_local(const struct session *s, struct addr *at);

/* Where the client came to: what a header has said, or the socket's own end. */
struct addr_peer session_addr_destination(const struct session *s);

/* The address of s->target, with the port that the client came to where the server has none. */
struct addr session_addr_server(const struct session *s);

#endif
