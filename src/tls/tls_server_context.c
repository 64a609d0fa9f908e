#include "tls/tls_server_context.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/stats.h"
#include "tls/certificate.h"
#include "tls/certificate_names.h"
#include "tls/tls_error.h"
#include "tls/tls_keys.h"
#include "tls/tls_limits.h"
#include "tls/tls_stream.h"
#include "tls/tls_tickets.h"

struct tls_server_context {
    const struct config_listen *conf;
    struct certificate *certificate; /* of conf->tls_certificate[i] */
    struct counter *used;
    size_t count;
    struct certificate_names names;
    SSL_CTX **group;    /* of names.group[i] */
    uint64_t *identity; /* of names.group[i] */
    struct tls_ticket_keys *ticket_keys;
    struct tls_tickets tickets;
    X509_STORE *client_ca; /* NULL: no certificates of clients */
    uint64_t client_ca_digest;
    unsigned char alpn[CONFIG_ALPN_MAX];
    unsigned alpn_size;
};

/* ---- callbacks of a handshake ---- */

/* Chooses the certificates by the name in the hello. As with strict-sni of HAProxy, a client that
 * names no server is refused together with unknown names. */
static int on_name(SSL *ssl, int *alert, void *arg)
{
    const struct tls_server_context *c = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    size_t group = name == NULL ? CERTIFICATE_NONE : certificate_names_find(&c->names, name);
    if (group == CERTIFICATE_NONE && c->conf->tls_unknown_name == CONFIG_UNKNOWN_NAME_REJECT) {
        *alert = SSL_AD_UNRECOGNIZED_NAME;
        tls_stream_set_why(tls_stream_of(ssl), name == NULL ? "the client gives no name"
                                                            : "no certificate for this name");
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    if (group == CERTIFICATE_NONE)
        return SSL_TLSEXT_ERR_NOACK;
    if (group > 0 && SSL_set_SSL_CTX(ssl, c->group[group]) == NULL) {
        *alert = SSL_AD_INTERNAL_ERROR;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    return SSL_TLSEXT_ERR_OK;
}

/* The first protocol of tls_alpn that the client offers; none: refused (RFC 7301, 3.2). */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *size,
                   const unsigned char *offered, unsigned offered_size, void *arg)
{
    const struct tls_server_context *c = arg;
    (void)ssl;
    return SSL_select_next_proto((unsigned char **)out, size, c->alpn, c->alpn_size, offered,
                                 offered_size) == OPENSSL_NPN_NEGOTIATED
               ? SSL_TLSEXT_ERR_OK
               : SSL_TLSEXT_ERR_ALERT_FATAL;
}

/* ---- made ---- */

static int load_certificates(struct tls_server_context *c, const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    int rc = 0;
    for (size_t i = 0; i < c->conf->tls_certificate_count; i++, c->count++)
        if (certificate_load(&c->certificate[i], &c->conf->tls_certificate[i], text) < 0)
            rc = tls_problem(p, "tls_certificate", i, text);
    return rc;
}

static int load_client_ca(struct tls_server_context *c, const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    if (c->conf->tls_client_ca == NULL)
        return 0;
    c->client_ca = X509_STORE_new();
    if (c->client_ca == NULL)
        return tls_problem(p, "tls_client_ca", 0, "out of memory");
    return tls_files_trust(c->client_ca, c->conf->tls_client_ca, &c->client_ca_digest, text) < 0
               ? tls_problem(p, "tls_client_ca", 0, text)
               : 0;
}

/* Tells clients whose certificates are trusted, so that they can choose one. */
static bool name_client_ca(SSL_CTX *ctx, X509_STORE *store)
{
    const STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(store);
    bool ok = true;
    for (int i = 0; i < sk_X509_OBJECT_num(objects) && ok; i++) {
        X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        ok = ca == NULL || SSL_CTX_add_client_CA(ctx, ca) == 1;
    }
    return ok;
}

static bool set_client_ca(const struct tls_server_context *c, SSL_CTX *ctx)
{
    if (c->client_ca == NULL || c->conf->tls_verify_client == CONFIG_VERIFY_CLIENT_NO)
        return true;
    bool needed = c->conf->tls_verify_client == CONFIG_VERIFY_CLIENT_YES;
    SSL_CTX_set_verify(ctx,
                       needed ? SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT : SSL_VERIFY_PEER,
                       NULL);
    SSL_CTX_set1_cert_store(ctx, c->client_ca);
    return name_client_ca(ctx, c->client_ca);
}

/* What a client must have proved: the CAs that were asked. */
static bool digest_client_ca(const struct tls_server_context *c, EVP_MD_CTX *digest)
{
    const STACK_OF(X509_OBJECT) *objects =
        c->client_ca == NULL ? NULL : X509_STORE_get0_objects(c->client_ca);
    bool ok = true;
    for (int i = 0; i < sk_X509_OBJECT_num(objects) && ok; i++) {
        unsigned char hash[EVP_MAX_MD_SIZE];
        unsigned size = 0;
        const X509 *ca = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
        ok = ca == NULL || (X509_digest(ca, EVP_sha256(), hash, &size) == 1 &&
                            EVP_DigestUpdate(digest, hash, size) == 1);
    }
    return ok;
}

static bool digest_text(EVP_MD_CTX *digest, const char *text)
{
    const char *t = text == NULL ? "" : text;
    return EVP_DigestUpdate(digest, t, strlen(t) + 1) == 1;
}

/* What may be agreed. With TLS 1.2 a session keeps its cipher, and the secret of its group. */
static bool digest_limits(const struct config_tls *limits, EVP_MD_CTX *digest)
{
    const unsigned char versions[] = { (unsigned char)limits->min, (unsigned char)limits->max };
    return EVP_DigestUpdate(digest, versions, sizeof versions) == 1 &&
           digest_text(digest, limits->ciphers) && digest_text(digest, limits->ciphersuites) &&
           digest_text(digest, limits->groups);
}

/* A session may only be resumed where a full handshake would agree and verify the same: on the
 * listener that it began with, and as long as the CAs, the versions and the ciphers are the same.
 */
static bool set_session_context(const struct tls_server_context *c, SSL_CTX *ctx)
{
    unsigned char id[EVP_MAX_MD_SIZE];
    unsigned size = 0;
    const unsigned char verify = (unsigned char)c->conf->tls_verify_client;
    EVP_MD_CTX *digest = EVP_MD_CTX_new();
    bool ok = digest != NULL && EVP_DigestInit_ex(digest, EVP_sha256(), NULL) == 1 &&
              EVP_DigestUpdate(digest, &verify, sizeof verify) == 1 &&
              digest_text(digest, c->conf->name) && digest_limits(&c->conf->tls_limits, digest) &&
              digest_client_ca(c, digest) && EVP_DigestFinal_ex(digest, id, &size) == 1;
    EVP_MD_CTX_free(digest);
    return ok && SSL_CTX_set_session_id_context(ctx, id, size) == 1;
}

static bool set_tickets(const struct tls_server_context *c, SSL_CTX *ctx)
{
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    if (!set_session_context(c, ctx))
        return false;
    if (!c->conf->tls_tickets) {
        SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
        return SSL_CTX_set_num_tickets(ctx, 0) == 1;
    }
    return tls_tickets_use(ctx, &c->tickets) == 0;
}

/* The same in any order. */
static uint64_t hash_names(const char *names)
{
    uint64_t sum = 0;
    for (const char *name = names; *name != '\0';) {
        size_t length = strcspn(name, ", ");
        sum += hash_bytes(name, length);
        name += length;
        name += strspn(name, ", ");
    }
    return sum;
}

/* A session must not outlive the certificates for its name. Their names identify them: one that was
 * renewed goes on, though CAs may write the names in another order. */
static uint64_t identity_of_group(const struct tls_server_context *c,
                                  const struct certificate_group *g)
{
    uint64_t sum = 0;
    for (size_t type = 0; type < CERTIFICATE_TYPES; type++)
        if (g->certificate[type] != CERTIFICATE_NONE) {
            const char *names = c->certificate[g->certificate[type]].names;
            sum += hash_mix(hash_names(names) + type);
        }
    return sum;
}

static uint64_t identity_of_name(const void *arg, const char *name)
{
    const struct tls_server_context *c = arg;
    size_t group = certificate_names_find(&c->names, name);
    return c->identity[group == CERTIFICATE_NONE ? 0 : group];
}

static int use_certificates(const struct tls_server_context *c, const struct certificate_group *g,
                            SSL_CTX *ctx, const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    for (size_t type = 0; type < CERTIFICATE_TYPES; type++) {
        size_t i = g->certificate[type];
        if (i != CERTIFICATE_NONE &&
            certificate_use(&c->certificate[i], &c->conf->tls_certificate[i], ctx, text) < 0)
            return tls_problem(p, "tls_certificate", i, text);
    }
    return 0;
}

static int make_group(struct tls_server_context *c, size_t i, const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    SSL_CTX *ctx = c->group[i] = tls_keys_context(TLS_server_method());
    if (ctx == NULL)
        return tls_problem(p, "tls", 0, "out of memory");
    const char *key = tls_limits_apply(&c->conf->tls_limits, ctx, text, sizeof text);
    if (key != NULL)
        return tls_problem(p, key, 0, text);
    if (use_certificates(c, &c->names.group[i], ctx, p) < 0)
        return -1;
    if (!set_client_ca(c, ctx) || !set_tickets(c, ctx))
        return tls_problem(p, "tls", 0, "out of memory");
    if (c->alpn_size > 0)
        SSL_CTX_set_alpn_select_cb(ctx, on_alpn, c);
    tls_stream_note_names(ctx);
    SSL_CTX_set_app_data(ctx, &c->names.group[i]);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, c);
    SSL_CTX_set_options(ctx, SSL_OP_NO_ANTI_REPLAY); /* early data is off */
    return 0;
}

static int make_groups(struct tls_server_context *c, const struct tls_problems *p)
{
    int rc = 0;
    if (certificate_names_init(&c->names, c->certificate, c->count) < 0 ||
        (c->group = calloc(c->names.group_count, sizeof(SSL_CTX *))) == NULL ||
        (c->identity = calloc(c->names.group_count, sizeof *c->identity)) == NULL)
        return tls_problem(p, "tls", 0, "out of memory");
    c->tickets = (struct tls_tickets){ c->ticket_keys, identity_of_name, c };
    for (size_t i = 0; i < c->names.group_count && rc == 0; i++) {
        c->identity[i] = identity_of_group(c, &c->names.group[i]);
        rc = make_group(c, i, p);
    }
    return rc;
}

static int context_set(struct tls_server_context *c, const struct tls_problems *p)
{
    char text[TLS_FILE_ERROR_MAX];
    size_t bad_key;
    size_t max = c->conf->tls_certificate_count;
    c->alpn_size = (unsigned)tls_limits_alpn(&c->conf->tls_limits, c->alpn);
    c->certificate = calloc(max, sizeof *c->certificate);
    c->used = calloc(max, sizeof *c->used);
    if (c->certificate == NULL || c->used == NULL)
        return tls_problem(p, "tls", 0, "out of memory");
    int rc = load_certificates(c, p);
    rc |= load_client_ca(c, p);
    if (tls_tickets_load(&c->ticket_keys, c->conf->tls_ticket_key, c->conf->tls_ticket_key_count,
                         &bad_key, text) < 0)
        rc = tls_problem(p, "tls_ticket_key", bad_key, text);
    return rc == 0 ? make_groups(c, p) : rc;
}

int tls_server_context_new(struct tls_server_context **out, const struct config_listen *conf,
                           const struct tls_problems *p)
{
    struct tls_server_context *c = calloc(1, sizeof *c);
    *out = NULL;
    if (c == NULL)
        return tls_problem(p, "tls", 0, "out of memory");
    c->conf = conf;
    int rc = context_set(c, p);
    ERR_clear_error();
    if (rc == 0)
        *out = c;
    else
        tls_server_context_free(c);
    return rc;
}

void tls_server_context_free(struct tls_server_context *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->names.group_count && c->group != NULL; i++)
        SSL_CTX_free(c->group[i]);
    free(c->group);
    free(c->identity);
    certificate_names_fini(&c->names);
    for (size_t i = 0; i < c->count; i++)
        certificate_fini(&c->certificate[i]);
    free(c->certificate);
    free(c->used);
    tls_tickets_free(c->ticket_keys);
    X509_STORE_free(c->client_ca);
    free(c);
}

/* ---- used ---- */

struct tls_stream *tls_server_context_accept(const struct tls_server_context *c, int fd)
{
    return tls_stream_new(c->group[0], fd, true);
}

void tls_server_context_count_use(struct tls_server_context *c, struct tls_stream *stream)
{
    SSL *ssl = tls_stream_ssl(stream);
    const struct certificate_group *g = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const X509 *shown = SSL_get_certificate(ssl);
    for (size_t type = 0; type < CERTIFICATE_TYPES; type++) {
        size_t i = g->certificate[type];
        if (i != CERTIFICATE_NONE && c->certificate[i].files.leaf == shown)
            counter_add_shared(&c->used[i], 1);
    }
}

size_t tls_server_context_count(const struct tls_server_context *c)
{
    return c == NULL ? 0 : c->count;
}

void tls_server_context_certificate(const struct tls_server_context *c, size_t i,
                                    struct certificate_info *out)
{
    certificate_info(&c->certificate[i], c->conf->tls_certificate[i].file, out);
    out->used = counter_get(&c->used[i]);
}

bool tls_server_context_covers(const struct tls_server_context *c, const char *pattern)
{
    return certificate_names_cover(&c->names, pattern);
}

void tls_server_context_files(const struct tls_server_context *c, tls_file_fn *fn, void *arg)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++)
        certificate_files(&c->certificate[i], &c->conf->tls_certificate[i], fn, arg);
    if (c->client_ca != NULL)
        fn(arg, &(struct tls_file){ .key = "tls_client_ca",
                                    .path = c->conf->tls_client_ca,
                                    .digest = c->client_ca_digest });
    for (size_t i = 0; i < c->conf->tls_ticket_key_count; i++)
        fn(arg, &(struct tls_file){ .key = "tls_ticket_key",
                                    .path = c->conf->tls_ticket_key[i],
                                    .digest = tls_tickets_digest(c->ticket_keys, i) });
}
