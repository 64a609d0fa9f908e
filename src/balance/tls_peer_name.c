#include "balance/tls_peer_name.h"

#include <arpa/inet.h>
#include <string.h>

static bool wants_client(const struct config_pool *conf)
{
    return conf->tls_name != NULL && strcmp(conf->tls_name, "client") == 0;
}

bool tls_peer_name_is_client(const struct config_pool *conf, const char *client)
{
    return wants_client(conf) && client[0] != '\0';
}

const char *tls_peer_name(const struct config_pool *conf, const char *client, const char *host,
                          const struct addr *at, char text[INET6_ADDRSTRLEN])
{
    if (conf->tls_name != NULL && !wants_client(conf))
        return conf->tls_name;
    if (tls_peer_name_is_client(conf, client))
        return client;
    if (host != NULL || addr_is_unix(at))
        return host;
    return at->sa.sa_family == AF_INET
               ? inet_ntop(AF_INET, &at->in.sin_addr, text, INET6_ADDRSTRLEN)
               : inet_ntop(AF_INET6, &at->in6.sin6_addr, text, INET6_ADDRSTRLEN);
}
