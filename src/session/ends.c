#include "session/ends.h"

#include <sys/socket.h>

static struct addr_peer own_end(const struct session *s)
{
    struct sockaddr_storage at = { .ss_family = AF_UNIX };
    socklen_t len = sizeof at;
    struct addr_peer own;
    (void)getsockname(s->client.fd, (struct sockaddr *)&at, &len);
    addr_peer_set(&own, (const struct sockaddr *)&at, len);
    return own;
}

struct addr_peer ends_destination(const struct session *s)
{
    return s->learned != NULL ? s->learned->destination : own_end(s);
}

struct addr ends_server(const struct session *s)
{
    struct addr to = s->backend->addr;
    if (!s->backend->same_port)
        return to;
    const struct addr_peer own = own_end(s);
    if (own.sa.sa_family != AF_UNIX)
        to.in.sin_port = own.in.sin_port; /* where sin6_port is as well */
    return to;
}
