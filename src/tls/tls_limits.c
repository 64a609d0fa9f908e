#include "tls/tls_limits.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* A list as OpenSSL reads it. */
struct cipher_list {
    const char *key;
    const char *separators;
    int (*set)(SSL_CTX *ctx, const char *list); /* fails if the list has no cipher */
};

/* Words that begin with "!", "-", "+" or "@" add no cipher. */
static void find_unknown(const struct cipher_list *l, const char *list, tls_limits_unknown_fn *fn,
                         void *arg)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_method());
    char *copy = list == NULL || ctx == NULL ? NULL : strdup(list), *rest = NULL;
    for (const char *word = copy == NULL ? NULL : strtok_r(copy, l->separators, &rest);
         word != NULL; word = strtok_r(NULL, l->separators, &rest))
        if (strchr("!-+@", word[0]) == NULL && l->set(ctx, word) != 1)
            fn(arg, l->key, word);
    free(copy);
    SSL_CTX_free(ctx);
    ERR_clear_error();
}

void tls_limits_find_unknown(const struct config_tls *limits, tls_limits_unknown_fn *fn, void *arg)
{
    static const struct cipher_list older = { "tls_ciphers", ":,; ", SSL_CTX_set_cipher_list };
    static const struct cipher_list newer = { "tls_ciphersuites", ":", SSL_CTX_set_ciphersuites };
    find_unknown(&older, limits->ciphers, fn, arg);
    find_unknown(&newer, limits->ciphersuites, fn, arg);
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
