/* struct config_tls, as OpenSSL wants it. For the files of this layer that include its headers, and
 * for the control thread. */
#ifndef ZPROXY_TLS_TLS_LIMITS_H
#define ZPROXY_TLS_TLS_LIMITS_H

#include <stddef.h>

#include "config/config.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* Sets versions, ciphers, groups, and what is the same for all connections. Returns NULL; or the
 * key whose value OpenSSL refuses, with text set. */
const char *tls_limits_apply(const struct config_tls *limits, struct ssl_ctx_st *ctx, char *text,
                             size_t size);

/* Calls fn() for each word of tls_ciphers and tls_ciphersuites that stands for no cipher: OpenSSL
 * leaves it out, without an error while there is another one. */
typedef void tls_limits_unknown_fn(void *arg, const char *key, const char *word);
void tls_limits_find_unknown(const struct config_tls *limits, tls_limits_unknown_fn *fn, void *arg);

/* Writes the protocols in the form of RFC 7301. Returns the bytes. */
size_t tls_limits_alpn(const struct config_tls *limits, unsigned char list[CONFIG_ALPN_MAX]);

#endif
