#include "tls/tls_limits.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

static int version_number(enum config_tls_version v)
{
    return v == CONFIG_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static const char *refused(const char *key, const char *value, const char *expected, char *text,
                           size_t size)
{
    ERR_clear_error();
    snprintf(text, size, "\"%.120s\": OpenSSL does not take it, expected %s", value, expected);
    return key;
}

const char *tls_limits_apply(const struct config_tls *limits, struct ssl_ctx_st *ctx, char *text,
                             size_t size)
{
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_min_proto_version(ctx, version_number(limits->min));
    SSL_CTX_set_max_proto_version(ctx, version_number(limits->max));
    if (limits->ciphers != NULL && SSL_CTX_set_cipher_list(ctx, limits->ciphers) != 1)
        return refused("tls_ciphers", limits->ciphers,
                       "a list of ciphers(1), such as ECDHE+AESGCM:ECDHE+CHACHA20", text, size);
    if (limits->ciphersuites != NULL && SSL_CTX_set_ciphersuites(ctx, limits->ciphersuites) != 1)
        return refused("tls_ciphersuites", limits->ciphersuites,
                       "names such as TLS_AES_128_GCM_SHA256:TLS_CHACHA20_POLY1305_SHA256", text,
                       size);
    if (limits->groups != NULL && SSL_CTX_set1_groups_list(ctx, limits->groups) != 1)
        return refused("tls_groups", limits->groups, "names such as X25519:P-256", text, size);
    return NULL;
}

size_t tls_limits_alpn(const struct config_tls *limits, unsigned char list[CONFIG_ALPN_MAX])
{
    size_t n = 0;
    for (size_t i = 0; i < limits->alpn_count; i++) {
        size_t len = strlen(limits->alpn[i]);   /* at most 255 */
        assert(n + 1 + len <= CONFIG_ALPN_MAX); /* checked when the file was loaded */
        list[n] = (unsigned char)len;
        memcpy(list + n + 1, limits->alpn[i], len);
        n += 1 + len;
    }
    return n;
}
