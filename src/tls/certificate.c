#include "tls/certificate.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "tls/tls_error.h"
#include "tls/tls_names.h"

static int certificate_failed(char text[TLS_FILE_ERROR_MAX], const char *file, const char *what)
{
    snprintf(text, TLS_FILE_ERROR_MAX, "\"%.255s\": %s", file, what);
    return -EINVAL;
}

static int find_type(struct certificate *c)
{
    switch (EVP_PKEY_get_base_id(c->files.key)) {
    case EVP_PKEY_RSA:
    case EVP_PKEY_RSA_PSS:
        c->type = CERTIFICATE_RSA;
        return 0;
    case EVP_PKEY_EC:
        c->type = CERTIFICATE_ECDSA;
        return 0;
    case EVP_PKEY_ED25519:
        c->type = CERTIFICATE_ED25519;
        return 0;
    }
    return -EINVAL;
}

/* ---- names ---- */

/* A name with a byte 0 is for no client. Returns 0 or -ENOMEM. */
static int add_name(struct certificate *c, const ASN1_STRING *text)
{
    const char *bytes = (const char *)ASN1_STRING_get0_data(text);
    size_t length = (size_t)ASN1_STRING_length(text);
    if (length == 0 || memchr(bytes, '\0', length) != NULL)
        return 0;
    char *name = strndup(bytes, length);
    char **to = name == NULL ? NULL : array_add(&c->name, &c->name_count, sizeof *to);
    if (to == NULL) {
        free(name);
        return -ENOMEM;
    }
    for (char *at = name; *at != '\0'; at++)
        *at = (char)tolower((unsigned char)*at);
    *to = name;
    return 0;
}

static int add_common_name(struct certificate *c, const X509 *leaf)
{
    const X509_NAME *subject = X509_get_subject_name(leaf);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    return at < 0 ? 0 : add_name(c, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
}

static int find_names(struct certificate *c, const X509 *leaf)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    bool has_alternatives = names != NULL;
    int rc = 0;
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && rc == 0; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type == GEN_DNS)
            rc = add_name(c, name->d.dNSName);
    }
    GENERAL_NAMES_free(names);
    return rc == 0 && !has_alternatives ? add_common_name(c, leaf) : rc;
}

/* ---- loaded ---- */

static time_t time_of(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;
}

int certificate_load(struct certificate *c, const struct config_certificate *files,
                     char text[TLS_FILE_ERROR_MAX])
{
    *c = (struct certificate){ .name = NULL };
    int rc = tls_files_read_certificate(&c->files, files, text);
    if (rc < 0)
        return rc;
    if (find_type(c) < 0)
        return certificate_failed(text, files->file,
                                  "a key of an unknown type, expected RSA, ECDSA or Ed25519");
    const X509 *leaf = c->files.leaf;
    if (find_names(c, leaf) < 0 || (c->names = tls_names_of(leaf)) == NULL)
        return certificate_failed(text, files->file, "out of memory");
    c->not_before = time_of(X509_get0_notBefore(leaf));
    c->not_after = time_of(X509_get0_notAfter(leaf));
    ERR_clear_error();
    return 0;
}

void certificate_fini(struct certificate *c)
{
    for (size_t i = 0; i < c->name_count; i++)
        free(c->name[i]);
    free(c->name);
    free(c->names);
    tls_files_free_certificate(&c->files);
}

void certificate_info(const struct certificate *c, const char *file, struct certificate_info *info)
{
    static const char *const types[CERTIFICATE_TYPES] = {
        [CERTIFICATE_RSA] = "RSA",
        [CERTIFICATE_ECDSA] = "ECDSA",
        [CERTIFICATE_ED25519] = "Ed25519",
    };
    *info = (struct certificate_info){
        .file = file,
        .names = c->names,
        .host = c->name_count > 0 ? c->name[0] : "",
        .type = types[c->type],
        .not_before = c->not_before,
        .not_after = c->not_after,
    };
}

void certificate_files(const struct certificate *c, const struct config_certificate *files,
                       tls_file_fn *fn, void *arg)
{
    fn(arg, &(struct tls_file){ .key = "tls_certificate",
                                .path = files->file,
                                .digest = c->files.digest,
                                .until = c->not_after });
    if (files->key != NULL)
        fn(arg, &(struct tls_file){
                    .key = "tls_certificate", .path = files->key, .digest = c->files.key_digest });
}

/* ---- use ---- */

/* What OpenSSL's security level asks for: SSL_CTX_set_security_level(3). */
struct level {
    int number;
    int bits;       /* of security */
    int rsa, ecdsa; /* bits of keys that have as many */
};

static struct level level_of(const SSL_CTX *ctx)
{
    static const struct level levels[] = {
        { 0, 0, 0, 0 },        { 1, 80, 1024, 160 },  { 2, 112, 2048, 224 },
        { 3, 128, 3072, 256 }, { 4, 192, 7680, 384 }, { 5, 256, 15360, 512 },
    };
    int number = SSL_CTX_get_security_level(ctx);
    return levels[number < 0 ? 0 : number > 5 ? 5 : number];
}

static bool has_weak_signature(X509 *x, const struct level *level, const char **hash)
{
    int id = NID_undef, bits = 0;
    if ((X509_get_extension_flags(x) & EXFLAG_SS) != 0 ||
        X509_get_signature_info(x, &id, NULL, &bits, NULL) != 1 || bits >= level->bits)
        return false;
    *hash = OBJ_nid2sn(id);
    return true;
}

/* What the security level refuses about the n-th certificate of a file. Returns false if that is
 * nothing. */
static bool explain_level(X509 *x, int n, const char *file, const struct level *level,
                          char text[TLS_FILE_ERROR_MAX])
{
    const EVP_PKEY *key = X509_get0_pubkey(x);
    const char *hash = "";
    if (key != NULL && EVP_PKEY_get_security_bits(key) < level->bits)
        snprintf(text, TLS_FILE_ERROR_MAX,
                 "\"%.255s\": the key of certificate %d has %d bits, too small for OpenSSL's "
                 "security level %d, expected at least %d (RSA) or %d (ECDSA)",
                 file, n, EVP_PKEY_get_bits(key), level->number, level->rsa, level->ecdsa);
    else if (has_weak_signature(x, level, &hash))
        snprintf(text, TLS_FILE_ERROR_MAX,
                 "\"%.255s\": certificate %d is signed with %s, too weak for OpenSSL's security "
                 "level %d, expected SHA256 or better",
                 file, n, hash, level->number);
    else
        return false;
    return true;
}

/* Empties OpenSSL's queue of errors. */
static void explain_refusal(const struct certificate *c, const char *file, const SSL_CTX *ctx,
                            char text[TLS_FILE_ERROR_MAX])
{
    const struct level level = level_of(ctx);
    char why[TLS_ERROR_MAX];
    tls_error_take(why);
    bool found = explain_level(c->files.leaf, 1, file, &level, text);
    for (int i = 0; !found && i < sk_X509_num(c->files.chain); i++)
        found = explain_level(sk_X509_value(c->files.chain, i), i + 2, file, &level, text);
    if (!found)
        snprintf(text, TLS_FILE_ERROR_MAX, "\"%.255s\": OpenSSL does not take it: %.200s", file,
                 why);
}

int certificate_use(const struct certificate *c, const struct config_certificate *files,
                    struct ssl_ctx_st *ctx, char text[TLS_FILE_ERROR_MAX])
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(ctx, c->files.leaf, c->files.key, c->files.chain, 1) == 1)
        return 0;
    explain_refusal(c, files->file, ctx, text);
    return -EINVAL;
}
