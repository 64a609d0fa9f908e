/* The name that a server's certificate must be for. */
#ifndef ZPROXY_BALANCE_TLS_PEER_NAME_H
#define ZPROXY_BALANCE_TLS_PEER_NAME_H

#include <netinet/in.h>

#include "base/addr.h"
#include "config/config.h"

/* tls_name of the pool; or the name in the client's hello, if tls_name is "client", and there is
 * one (client: "" if not); or host, the name of the server in its line; or, if that is NULL, its
 * address, printed to text. NULL: a unix socket, without a name. */
const char *tls_peer_name(const struct config_pool *conf, const char *client, const char *host,
                          const struct addr *at, char text[INET6_ADDRSTRLEN]);

/* Whether that is a name of the client's choice. */
bool tls_peer_name_is_client(const struct config_pool *conf, const char *client);

#endif
