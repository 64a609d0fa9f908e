#include "tls/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_stamp.h"
#include "base/hash.h"
#include "base/safe_open.h"
#include "tls/tls_error.h"

#define FILE_MAX (4 << 20) /* bytes; the CAs of a system have 0.3 MB */

static int __attribute__((format(printf, 3, 4)))
file_failed(char text[TLS_FILE_ERROR_MAX], const char *path, const char *why, ...)
{
    va_list args;
    int n = snprintf(text, TLS_FILE_ERROR_MAX, "\"%.255s\": ", path);
    va_start(args, why);
    vsnprintf(text + n, TLS_FILE_ERROR_MAX - (size_t)n, why, args);
    va_end(args);
    ERR_clear_error();
    return -EINVAL;
}

/* ---- reading ---- */

static char *read_all(int fd, size_t *size)
{
    struct stat st;
    if (fstat(fd, &st) == -1)
        return NULL;
    if (st.st_size > FILE_MAX) {
        errno = EFBIG;
        return NULL;
    }
    char *data = malloc((size_t)st.st_size + 1);
    ssize_t n = data == NULL ? -1 : read(fd, data, (size_t)st.st_size);
    if (n == -1) {
        free(data);
        return NULL;
    }
    *size = (size_t)n;
    return data;
}

/* Reads a file as a BIO in memory; NULL after an error. */
static BIO *open_file(const char *path, uint64_t *digest, char text[TLS_FILE_ERROR_MAX])
{
    size_t size = 0;
    int fd = safe_open_read(path);
    if (fd < 0) {
        file_failed(text, path, "%s", safe_open_strerror(fd));
        return NULL;
    }
    char *data = read_all(fd, &size);
    if (data == NULL)
        file_failed(text, path, "%s", strerror(errno));
    close(fd);
    BIO *bio = data == NULL ? NULL : BIO_new(BIO_s_mem());
    if (bio != NULL && size > 0 && BIO_write(bio, data, (int)size) != (int)size) {
        BIO_free(bio);
        bio = NULL;
    }
    if (data != NULL) {
        *digest = hash_bytes(data, size);
        OPENSSL_cleanse(data, size); /* it may have been a key */
        if (bio == NULL)
            file_failed(text, path, "out of memory");
    }
    free(data);
    return bio;
}

/* zproxy cannot ask for a passphrase. */
static int no_passphrase(char *buf, int size, int writing, void *encrypted)
{
    (void)buf, (void)size, (void)writing;
    *(bool *)encrypted = true;
    return -1;
}

/* Whether the last error only says that the file has no more objects; for keys OpenSSL's decoder
 * says "unsupported". */
static bool is_end_of_file(void)
{
    unsigned long error = ERR_peek_last_error();
    if (ERR_GET_LIB(error) == ERR_LIB_OSSL_DECODER)
        return true;
    return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

/* ---- certificates ---- */

/* Calls use() for each certificate of a file; index: 0, 1 ... It returns false after an error. */
static int each_certificate(const char *path, uint64_t *digest, char text[TLS_FILE_ERROR_MAX],
                            bool (*use)(void *arg, X509 *certificate, size_t index), void *arg)
{
    char why[TLS_ERROR_MAX];
    BIO *bio = open_file(path, digest, text);
    if (bio == NULL)
        return -EINVAL;
    int rc = 0;
    size_t n = 0;
    X509 *certificate;
    while (rc == 0 && (certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        if (!use(arg, certificate, n++))
            rc = file_failed(text, path, "certificate %zu cannot be used: %s", n,
                             tls_error_take(why));
        X509_free(certificate);
    }
    if (rc == 0 && !is_end_of_file())
        rc = file_failed(text, path, "certificate %zu cannot be read: %s", n + 1,
                         tls_error_take(why));
    else if (rc == 0 && n == 0)
        rc = file_failed(text, path,
                         "no certificate in it, expected PEM (-----BEGIN "
                         "CERTIFICATE-----)");
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

static bool use_in_chain(void *arg, X509 *certificate, size_t index)
{
    SSL_CTX *ctx = arg;
    if (index == 0)
        return SSL_CTX_use_certificate(ctx, certificate) == 1;
    return SSL_CTX_add1_chain_cert(ctx, certificate) == 1;
}

static int use_key(SSL_CTX *ctx, const char *path, const struct config_certificate *files,
                   uint64_t *digest, char text[TLS_FILE_ERROR_MAX])
{
    char why[TLS_ERROR_MAX];
    bool encrypted = false;
    BIO *bio = open_file(path, digest, text);
    if (bio == NULL)
        return -EINVAL;
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
    int rc = 0;
    if (encrypted)
        rc = file_failed(text, path, "the key has a passphrase, expected a key without one");
    else if (key == NULL && is_end_of_file())
        rc = file_failed(text, path, "no private key in it, expected %s",
                         files->key == NULL ? "one after the certificates, or key=FILE"
                                            : "PEM (-----BEGIN PRIVATE KEY-----)");
    else if (key == NULL)
        rc = file_failed(text, path, "the key cannot be read: %s", tls_error_take(why));
    else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1)
        rc = file_failed(text, path, "the key does not fit the certificate in \"%s\"", files->file);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

int tls_files_use_certificate(struct ssl_ctx_st *ctx, const struct config_certificate *files,
                              struct tls_files_digests *digests, char text[TLS_FILE_ERROR_MAX])
{
    int rc = each_certificate(files->file, &digests->certificate, text, use_in_chain, ctx);
    if (rc == 0)
        rc =
            use_key(ctx, files->key != NULL ? files->key : files->file, files, &digests->key, text);
    return rc;
}

/* ---- trusted CAs ---- */

static bool trust(void *arg, X509 *certificate, size_t index)
{
    (void)index;
    return X509_STORE_add_cert(arg, certificate) == 1;
}

int tls_files_trust(struct x509_store_st *store, const char *path, uint64_t *digest,
                    char text[TLS_FILE_ERROR_MAX])
{
    return each_certificate(path, digest, text, trust, store);
}

/* Where systems have all their CAs in one file: Debian, Alpine; Fedora; SUSE. */
static const char *system_file(void)
{
    const char *paths[] = { getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt",
                            "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/ca-bundle.pem",
                            X509_get_default_cert_file() };
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (paths[i] != NULL && access(paths[i], F_OK) == 0)
            return paths[i];
    return NULL;
}

struct x509_store_st *tls_files_system_store(uint64_t *digest, char text[TLS_FILE_ERROR_MAX])
{
    static X509_STORE *cached;
    static struct file_stamp cached_stamp;
    static uint64_t cached_digest;
    const char *path = system_file();
    if (path == NULL) {
        snprintf(text, TLS_FILE_ERROR_MAX,
                 "\"system\": this machine has no file of CAs, expected the package "
                 "ca-certificates, or tls_ca = FILE");
        return NULL;
    }
    const struct file_stamp stamp = file_stamp_get(path);
    if (cached == NULL || !file_stamp_equal(&stamp, &cached_stamp)) {
        X509_STORE *fresh = X509_STORE_new();
        if (fresh == NULL || tls_files_trust(fresh, path, &cached_digest, text) < 0) {
            X509_STORE_free(fresh);
            return NULL;
        }
        X509_STORE_free(cached);
        cached = fresh;
        cached_stamp = stamp;
    }
    X509_STORE_up_ref(cached);
    *digest = cached_digest;
    return cached;
}
