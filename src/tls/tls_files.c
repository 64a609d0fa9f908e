#include "tls/tls_files.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
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

/* The content of a file, which may be a key. */
struct content {
    char *data;
    size_t size;
    uint64_t digest;
};

static int read_all(int fd, struct content *c)
{
    struct stat st;
    if (fstat(fd, &st) == -1)
        return -errno;
    if (st.st_size > FILE_MAX)
        return -EFBIG;
    c->data = malloc((size_t)st.st_size + 1);
    if (c->data == NULL)
        return -ENOMEM;
    ssize_t n = read(fd, c->data, (size_t)st.st_size);
    if (n == -1)
        return -errno;
    c->size = (size_t)n;
    c->digest = hash_bytes(c->data, c->size);
    return 0;
}

static void content_fini(struct content *c)
{
    if (c->data != NULL)
        OPENSSL_cleanse(c->data, c->size);
    free(c->data);
}

/* The caller calls content_fini(), also after an error. */
static int content_read(struct content *c, const char *path, char text[TLS_FILE_ERROR_MAX])
{
    *c = (struct content){ .data = NULL };
    int fd = safe_open_read(path);
    if (fd < 0)
        return file_failed(text, path, "%s", safe_open_strerror(fd));
    int rc = read_all(fd, c);
    close(fd);
    return rc < 0 ? file_failed(text, path, "%s", strerror(-rc)) : 0;
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

/* Calls use() for each certificate of a file, whose content was read. It returns false after an
 * error. */
static int each_certificate(const struct content *c, const char *path,
                            char text[TLS_FILE_ERROR_MAX], bool (*use)(void *arg, X509 *found),
                            void *arg)
{
    char why[TLS_ERROR_MAX];
    BIO *bio = BIO_new_mem_buf(c->data, (int)c->size);
    if (bio == NULL)
        return file_failed(text, path, "out of memory");
    int rc = 0;
    size_t n = 0;
    X509 *found;
    while (rc == 0 && (found = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL) {
        n++;
        if (!use(arg, found))
            rc = file_failed(text, path, "certificate %zu cannot be used: %s", n,
                             tls_error_take(why));
        X509_free(found);
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

static bool add_certificate(void *arg, X509 *found)
{
    struct tls_files_certificate *c = arg;
    if (c->leaf == NULL)
        c->leaf = found;
    else if ((c->chain == NULL && (c->chain = sk_X509_new_null()) == NULL) ||
             sk_X509_push(c->chain, found) == 0)
        return false;
    return X509_up_ref(found) == 1;
}

/* The key does not fit the first certificate: files of another order are common. */
static int wrong_key(const struct tls_files_certificate *c, const char *path,
                     const struct config_certificate *files, char text[TLS_FILE_ERROR_MAX])
{
    for (int i = 0; i < sk_X509_num(c->chain); i++)
        if (X509_check_private_key(sk_X509_value(c->chain, i), c->key) == 1)
            return file_failed(text, path,
                               "the key fits certificate %d in \"%s\", expected that one first, "
                               "and those of CAs behind it",
                               i + 2, files->file);
    return file_failed(text, path, "the key does not fit the certificate in \"%s\"", files->file);
}

static int parse_key(struct tls_files_certificate *c, const struct content *content,
                     const char *path, const struct config_certificate *files,
                     char text[TLS_FILE_ERROR_MAX])
{
    char why[TLS_ERROR_MAX];
    bool encrypted = false;
    BIO *bio = BIO_new_mem_buf(content->data, (int)content->size);
    if (bio == NULL)
        return file_failed(text, path, "out of memory");
    c->key = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &encrypted);
    int rc = 0;
    if (encrypted)
        rc = file_failed(text, path, "the key has a passphrase, expected a key without one");
    else if (c->key == NULL && is_end_of_file())
        rc = file_failed(text, path, "no private key in it, expected %s",
                         files->key == NULL ? "one after the certificates, or key=FILE"
                                            : "PEM (-----BEGIN PRIVATE KEY-----)");
    else if (c->key == NULL)
        rc = file_failed(text, path, "the key cannot be read: %s", tls_error_take(why));
    else if (X509_check_private_key(c->leaf, c->key) != 1)
        rc = wrong_key(c, path, files, text);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

static int read_key(struct tls_files_certificate *c, const struct config_certificate *files,
                    char text[TLS_FILE_ERROR_MAX])
{
    struct content content;
    int rc = content_read(&content, files->key, text);
    if (rc == 0)
        rc = parse_key(c, &content, files->key, files, text);
    c->key_digest = content.digest;
    content_fini(&content);
    return rc;
}

int tls_files_read_certificate(struct tls_files_certificate *c,
                               const struct config_certificate *files,
                               char text[TLS_FILE_ERROR_MAX])
{
    struct content content;
    *c = (struct tls_files_certificate){ .leaf = NULL };
    int rc = content_read(&content, files->file, text);
    if (rc == 0)
        rc = each_certificate(&content, files->file, text, add_certificate, c);
    if (rc == 0 && files->key == NULL)
        rc = parse_key(c, &content, files->file, files, text);
    c->digest = content.digest;
    content_fini(&content);
    return rc == 0 && files->key != NULL ? read_key(c, files, text) : rc;
}

void tls_files_free_certificate(struct tls_files_certificate *c)
{
    X509_free(c->leaf);
    sk_X509_pop_free(c->chain, X509_free);
    EVP_PKEY_free(c->key);
}

/* ---- trusted CAs ---- */

static bool trust(void *arg, X509 *found)
{
    return X509_STORE_add_cert(arg, found) == 1;
}

int tls_files_trust(struct x509_store_st *store, const char *path, uint64_t *digest,
                    char text[TLS_FILE_ERROR_MAX])
{
    struct content content;
    int rc = content_read(&content, path, text);
    if (rc == 0)
        rc = each_certificate(&content, path, text, trust, store);
    *digest = content.digest;
    content_fini(&content);
    return rc;
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
