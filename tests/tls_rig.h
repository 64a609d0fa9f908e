/* What units with TLS have in common. */
#ifndef ZPROXY_TESTS_TLS_RIG_H
#define ZPROXY_TESTS_TLS_RIG_H

#include <openssl/ssl.h>
#include <stdbool.h>

#include "tls/tls_stream.h"

/* A new certificate for "test", and its key. */
void tls_rig_use_certificate(SSL_CTX *ctx);

/* For one version, with the keys watched; a server's has a certificate for "test". */
SSL_CTX *tls_rig_context(bool server, int version);

/* Both ends of a connection. */
void tls_rig_handshake(struct tls_stream *client, struct tls_stream *server);

#endif
