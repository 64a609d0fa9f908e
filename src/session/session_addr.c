#include "session/session_addr.h"

#include <string.h>
#include <sys/socket.h>

#include "relay/unix_socket.h"

static struct addr_peer own_addr(const struct session *s)
{
    struct sockaddr_storage at = { .ss_family = AF_UNIX };
    socklen_t len = sizeof at;
    struct addr_peer own;
    (void)getsockname(s->client.fd, (struct sockaddr *)&at, &len);
    addr_peer_set(&own, (const struct sockaddr *)&at, len);
    return own;
}

static const char *base_name(const struct addr *at)
{
    const char *slash = strrchr(at->un.sun_path, '/');
    return slash == NULL ? at->un.sun_path : slash + 1;
}

/* Returns the frontend's bind address of that unix socket, or NULL. */
static const struct addr *find_unix(const struct config_listen *conf, const char *name)
{
    for (size_t i = 0; i < conf->bind_count; i++)
        for (size_t j = 0; j < conf->bind[i].addr_count; j++) {
            const struct addr *at = &conf->bind[i].addr[j];
            if (unix_socket_has_file(at) && strcmp(base_name(at), name) == 0)
                return at;
        }
    return NULL;
}

bool session_addr_local(const struct session *s, struct addr *at)
{
    at->len = sizeof at->un;
    if (getsockname(s->client.fd, &at->sa, &at->len) == -1)
        return false;
    const struct addr *conf =
        unix_socket_is_by_descriptor(at) ? find_unix(s->frontend->conf, base_name(at)) : NULL;
    if (conf != NULL)
        *at = *conf;
    return true;
}

struct addr_peer session_addr_destination(const struct session *s)
{
    return s->proxy_info != NULL ? s->proxy_info->destination : own_addr(s);
}

struct addr session_addr_server(const struct session *s)
{
    struct addr to = s->target->addr;
    if (!s->target->same_port)
        return to;
    const struct addr_peer own = own_addr(s);
    if (own.sa.sa_family != AF_UNIX)
        to.in.sin_port = own.in.sin_port; /* sin6_port is at the same offset */
    return to;
}
