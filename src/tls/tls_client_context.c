#include "tls/tls_client_context.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/hostname.h"
#include "base/text.h"
#include "tls/certificate.h"
#include "tls/tls_error.h"
#include "tls/tls_files.h"
#include "tls/tls_keys.h"
#include "tls/tls_limits.h"
#include "tls/tls_session_cache.h"
#include "tls/tls_stream.h"

struct tls_client_context {
    SSL_CTX *ctx;
    uint64_t id; /* unique in this process */
    const struct config_pool *conf;
    struct certificate *certificate; /* NULL: none */
    bool verify;
    uint64_t ca_digest;
};

static int set_trust(struct tls_client_context *c, const struct config_pool *conf,
                     const struct tls_problems *p)
{
    SSL_CTX *ctx = c->ctx;
    char text[TLS_FILE_ERROR_MAX];
    if (!conf->tls_verify)
        return 0;
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    if (conf->tls_ca != NULL)
        return tls_files_trust(SSL_CTX_get_cert_store(ctx), conf->tls_ca, &c->ca_digest, text) < 0
                   ? tls_problem(p, "tls_ca", 0, text)
                   : 0;
    X509_STORE *system = tls_files_system_store(&c->ca_digest, text);
    if (system == NULL)
        return tls_problem(p, "tls_ca", 0, text);
    SSL_CTX_set_cert_store(ctx, system); /* it owns the reference */
    return 0;
}

static int set_certificate(struct tls_client_context *c, const struct config_pool *conf,
                           const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    if (conf->tls_certificate.file == NULL)
        return 0;
    c->certificate = calloc(1, sizeof *c->certificate);
    if (c->certificate == NULL)
        return tls_problem(p, "tls_certificate", 0, "out of memory");
    if (certificate_load(c->certificate, &conf->tls_certificate, text) < 0)
        return tls_problem(p, "tls_certificate", 0, text);
    if (certificate_use(c->certificate, &conf->tls_certificate, c->ctx, text) < 0)
        return tls_problem(p, "tls_certificate", 0, text);
    return 0;
}

static int set_alpn(SSL_CTX *ctx, const struct config_tls *limits, const struct tls_problems *p)
{
    unsigned char list[CONFIG_ALPN_MAX];
    size_t n = tls_limits_alpn(limits, list);
    if (n > 0 && SSL_CTX_set_alpn_protos(ctx, list, (unsigned)n) != 0)
        return tls_problem(p, "tls_alpn", 0, "out of memory");
    return 0;
}

static int context_set(struct tls_client_context *c, const struct config_pool *conf,
                       const struct tls_problems *p)
{
    char text[TLS_ERROR_MAX + 64];
    const char *key = tls_limits_apply(&conf->tls_limits, c->ctx, text, sizeof text);
    if (key != NULL)
        return tls_problem(p, key, 0, text);
    int rc = set_trust(c, conf, p);
    rc |= set_certificate(c, conf, p);
    return rc | set_alpn(c->ctx, &conf->tls_limits, p);
}

/* Without memory for the keys, TLS stays in user space. */
static SSL_CTX *make_context(const struct config_pool *conf)
{
    SSL_CTX *ctx = conf->tls ? tls_keys_context(TLS_client_method()) : NULL;
    return ctx != NULL ? ctx : SSL_CTX_new(TLS_client_method());
}

int tls_client_context_new(struct tls_client_context **out, const struct config_pool *conf,
                           const struct tls_problems *p)
{
    static uint64_t last_id;
    struct tls_client_context *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL || (c->ctx = make_context(conf)) == NULL) {
        free(c);
        return tls_problem(p, "tls", 0, "out of memory");
    }
    c->id = ++last_id;
    c->conf = conf;
    c->verify = conf->tls_verify;
    tls_stream_prepare_sessions(c->ctx);
    int rc = context_set(c, conf, p);
    ERR_clear_error();
    if (rc == 0)
        *out = c;
    else
        tls_client_context_free(c);
    return rc;
}

void tls_client_context_free(struct tls_client_context *c)
{
    if (c == NULL)
        return;
    SSL_CTX_free(c->ctx);
    if (c->certificate != NULL)
        certificate_fini(c->certificate);
    free(c->certificate);
    free(c);
}

bool tls_client_context_certificate(const struct tls_client_context *c,
                                    struct certificate_info *out)
{
    if (c == NULL || c->certificate == NULL)
        return false;
    certificate_info(c->certificate, c->conf->tls_certificate.file, out);
    return true;
}

void tls_client_context_files(const struct tls_client_context *c, tls_file_fn *fn, void *arg)
{
    if (c == NULL)
        return;
    if (c->certificate != NULL)
        certificate_files(c->certificate, &c->conf->tls_certificate, fn, arg);
    if (c->verify)
        fn(arg, &(struct tls_file){ .key = "tls_ca",
                                    .path = c->conf->tls_ca == NULL ? "system" : c->conf->tls_ca,
                                    .digest = c->ca_digest });
}

/* ---- connections ---- */

static bool is_address(const char *host)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

/* A hello must have no addresses, and no dot at the end of a name (RFC 6066, section 3). */
static bool set_host(SSL *ssl, const char *host, bool verify)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char name[HOSTNAME_MAX + 1];
    if (host == NULL)
        return true;
    if (is_address(host))
        return !verify || X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1;
    text_copy(name, sizeof name, host);
    size_t length = strlen(name);
    if (length > 1 && name[length - 1] == '.')
        name[length - 1] = '\0';
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set_tlsext_host_name(ssl, name) == 1 &&
           (!verify || X509_VERIFY_PARAM_set1_host(param, name, 0) == 1);
}

static int continue_session(const struct tls_client_context *c, struct tls_stream *s,
                            const struct tls_client_peer *peer, const char *host)
{
    const struct tls_session_key key = { c->id, peer->server, host == NULL ? "" : host };
    if (peer->sessions == NULL)
        return 0;
    struct tls_session_entry *entry = tls_session_cache_get(peer->sessions, &key);
    if (entry == NULL)
        return -ENOMEM;
    tls_stream_resume(s, entry);
    return 0;
}

struct tls_stream *tls_client_context_connect(struct tls_client_context *c, int fd,
                                              const struct tls_client_peer *peer)
{
    const char *host = peer->host;
    struct tls_stream *s = tls_stream_new(c->ctx, fd, false);
    if (s == NULL)
        return NULL;
    if (c->verify && host == NULL) { /* never accept a certificate for just any name */
        tls_stream_refuse(s, "the server has no name that its certificate could be for");
        return s;
    }
    if (set_host(tls_stream_ssl(s), host, c->verify) && continue_session(c, s, peer, host) == 0)
        return s;
    ERR_clear_error();
    tls_stream_free(s);
    return NULL;
}
