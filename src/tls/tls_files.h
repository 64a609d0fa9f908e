/* Files of certificates and keys, in PEM. For the files of this layer that include OpenSSL's
 * headers. Functions return 0 or -errno; after an error, text says what is wrong with the file:
 * `"/etc/x.pem": no such file or directory`. */
#ifndef ZPROXY_TLS_TLS_FILES_H
#define ZPROXY_TLS_TLS_FILES_H

#include <stdint.h>

#include "config/config.h"

#define TLS_FILE_ERROR_MAX 512

struct evp_pkey_st; /* OpenSSL's EVP_PKEY, STACK_OF(X509), X509, X509_STORE */
struct stack_st_X509;
struct x509_st;
struct x509_store_st;

/* What the files of a certificate have. */
struct tls_files_certificate {
    struct x509_st *leaf;
    struct stack_st_X509 *chain; /* of the leaf, without it */
    struct evp_pkey_st *key;     /* fits the leaf */
    uint64_t digest;             /* of what was read */
    uint64_t key_digest;
};

/* Reads a certificate, its chain and its key. Each file is read once. The caller calls
 * tls_files_free_certificate(), also after an error. */
int tls_files_read_certificate(struct tls_files_certificate *c,
                               const struct config_certificate *files,
                               char text[TLS_FILE_ERROR_MAX]);
void tls_files_free_certificate(struct tls_files_certificate *c);

/* Adds the certificates of the file as those of trusted CAs. */
int tls_files_trust(struct x509_store_st *store, const char *path, uint64_t *digest,
                    char text[TLS_FILE_ERROR_MAX]);

/* Returns the certificates that this system trusts, shared by all callers; the caller frees its
 * reference with X509_STORE_free(). They are read again if their file has changed. NULL after an
 * error. For control's thread. */
struct x509_store_st *tls_files_system_store(uint64_t *digest, char text[TLS_FILE_ERROR_MAX]);

#endif
