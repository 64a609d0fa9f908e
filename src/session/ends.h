/* Where a session's two connections lead. */
#ifndef ZPROXY_SESSION_ENDS_H
#define ZPROXY_SESSION_ENDS_H

#include "base/addr.h"
#include "session/session.h"

/* What a PROXY header has said of the client, beside its address. */
struct learned {
    struct addr_peer peer;        /* the socket's other end: the proxy */
    struct addr_peer destination; /* what the client connected to */
};

/* The socket's own end, a unix socket's as the configuration names it. false: it has none. */
bool ends_local(const struct session *s, struct addr *at);

/* Where the client came to: what a header has said, or the socket's own end. */
struct addr_peer ends_destination(const struct session *s);

/* The address of s->backend, with the port that the client came to where the server has none. */
struct addr ends_server(const struct session *s);

#endif
