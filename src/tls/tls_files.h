/* Files of certificates and keys, in PEM. For the files of this layer that include OpenSSL's
 * headers. Functions return 0 or -errno; after an error, text says what is wrong with the file:
 * `"/etc/x.pem": no such file or directory`. */
#ifndef ZPROXY_TLS_TLS_FILES_H
#define ZPROXY_TLS_TLS_FILES_H

#include <stdint.h>

#include "config/config.h"

#define TLS_FILE_ERROR_MAX 512

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and X509_STORE */
struct x509_store_st;

/* Digests of what was read. */
struct tls_files_digests {
    uint64_t certificate;
    uint64_t key;
};

/* Sets the certificate, its chain and its key, which must fit. */
int tls_files_use_certificate(struct ssl_ctx_st *ctx, const struct config_certificate *files,
                              struct tls_files_digests *digests, char text[TLS_FILE_ERROR_MAX]);

/* Adds the certificates of the file as those of trusted CAs. */
int tls_files_trust(struct x509_store_st *store, const char *path, uint64_t *digest,
                    char text[TLS_FILE_ERROR_MAX]);

/* Returns the certificates that this system trusts, shared by all callers; the caller frees its
 * reference with X509_STORE_free(). They are read again if their file has changed. NULL after an
 * error. For control's thread. */
struct x509_store_st *tls_files_system_store(uint64_t *digest, char text[TLS_FILE_ERROR_MAX]);

#endif
