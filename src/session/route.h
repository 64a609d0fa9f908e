/* Which pool a TLS client is sent to, by what its hello says. */
#ifndef ZPROXY_SESSION_ROUTE_H
#define ZPROXY_SESSION_ROUTE_H

#include <stddef.h>

#include "config/config.h"
#include "session/hello.h"

struct pool;

/* The configuration's words outlive the route; none of a kind: whatever it is. */
struct route {
    const struct config_words *sni;  /* patterns of hostname.h; fit no hello that names no server */
    const struct config_words *alpn; /* protocols, of which the client must speak one */
    struct pool *pool;
};

/* The pool of the first route that the hello fits, letter case ignored; NULL where none does. */
struct pool *route_match(const struct route *routes, size_t count, const struct hello *hello);

#endif
