/* What connections to the servers of a pool use for TLS: trusted CAs, a client certificate, limits
 * of what is agreed. Made by the control thread, constant afterwards, used by all threads.
 */
#ifndef ZPROXY_TLS_TLS_CLIENT_CONTEXT_H
#define ZPROXY_TLS_TLS_CLIENT_CONTEXT_H

#include <stdbool.h>

#include "config/config.h"

struct tls_client_context;
struct tls_stream;

/* Why a context cannot be made. */
struct tls_problem {
    const char *key; /* of the configuration */
    char text[600];
};

/* Reads the files. Returns 0, or -errno with *problem set. */
int tls_client_context_new(struct tls_client_context **out, const struct config_pool *conf,
                           struct tls_problem *problem);
/* c may be NULL. Connections that exist keep what they need. */
void tls_client_context_free(struct tls_client_context *c);

/* Makes a connection on a connected socket. host: a name or an IP address; it is sent in the hello
 * if it is a name, and the certificate must be for it; NULL: the hello has none, and a certificate
 * is only accepted without verification. Returns NULL when out of memory. */
struct tls_stream *tls_client_context_connect(struct tls_client_context *c, int fd,
                                              const char *host);

/* Whether this build has OpenSSL. */
bool tls_client_context_is_built(void);

#endif
