/* Chooses the pool of a TLS client by its hello. */
#ifndef ZPROXY_SESSION_ROUTE_H
#define ZPROXY_SESSION_ROUTE_H

#include <stddef.h>

#include "config/config.h"
#include "session/hello.h"

struct pool;

/* The words belong to the configuration, which outlives the route. No words: any value matches. */
struct route {
    const struct config_words *sni;  /* patterns of hostname.h; no name in the hello: no match */
    const struct config_words *alpn; /* protocols: the client must offer one of them */
    struct pool *pool;
};

/* Returns the pool of the first route that matches the hello (names without regard to case); NULL:
 * no route matches. */
struct pool *route_match(const struct route *routes, size_t count, const struct hello *hello);

#endif
