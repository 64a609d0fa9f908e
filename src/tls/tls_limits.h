/* struct config_tls, as OpenSSL wants it. For the files of this layer that include its headers. */
#ifndef ZPROXY_TLS_TLS_LIMITS_H
#define ZPROXY_TLS_TLS_LIMITS_H

#include <stddef.h>

#include "config/config.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* Sets versions, ciphers, groups, and what is the same for all connections. Returns NULL; or the
 * key whose value OpenSSL refuses, with text set. */
const char *tls_limits_apply(const struct config_tls *limits, struct ssl_ctx_st *ctx, char *text,
                             size_t size);

/* Writes the protocols in the form of RFC 7301. Returns the bytes. */
size_t tls_limits_alpn(const struct config_tls *limits, unsigned char list[CONFIG_ALPN_MAX]);

#endif
