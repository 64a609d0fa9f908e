/* Which pool a TLS client is sent to, by what its hello says. */
#ifndef ZPROXY_SESSION_ROUTE_H
#define ZPROXY_SESSION_ROUTE_H

#include <stddef.h>

#include "session/hello.h"

struct pool;

/* Texts as the user writes them, "A|B" for either; NULL: whatever it is. They outlive the route. */
struct route {
    const char *sni;  /* patterns of hostname.h; fits no hello that names no server */
    const char *alpn; /* protocols, of which the client must speak one */
    struct pool *pool;
};

/* The pool of the first route that the hello fits, letter case ignored; NULL where none does. */
struct pool *route_match(const struct route *routes, size_t count, const struct hello *hello);

#endif
