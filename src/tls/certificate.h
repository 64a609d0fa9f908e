/* A certificate with its chain and its key. For the files of this layer that include OpenSSL's
 * headers, and for the control thread. */
#ifndef ZPROXY_TLS_CERTIFICATE_H
#define ZPROXY_TLS_CERTIFICATE_H

#include <stddef.h>
#include <time.h>

#include "config/config.h"
#include "tls/certificate_info.h"
#include "tls/tls_files.h"

/* Keys of different types can stand side by side: a client takes what it can verify. */
enum certificate_type {
    CERTIFICATE_RSA,
    CERTIFICATE_ECDSA,
    CERTIFICATE_ED25519,
    CERTIFICATE_TYPES,
};

struct certificate {
    struct ssl_ctx_st *holder; /* an SSL_CTX that only has this certificate, chain and key */
    enum certificate_type type;
    char **name; /* of its SAN, or else its CN; in lower case */
    size_t name_count;
    time_t not_before;
    time_t not_after;
    struct tls_files_digests digests;
};

/* Returns 0; or -errno, and text says what is wrong with which file. The caller calls
 * certificate_fini() in both cases. */
int certificate_load(struct certificate *c, const struct config_certificate *files,
                     char text[TLS_FILE_ERROR_MAX]);
void certificate_fini(struct certificate *c);

/* Its names with commas, which the caller frees; NULL: out of memory. */
char *certificate_print_names(const struct certificate *c);

/* names: those of certificate_print_names(). */
void certificate_info(const struct certificate *c, const char *file, const char *names,
                      struct certificate_info *info);

/* Calls fn() for its file, and for that of its key if it has one of its own. */
void certificate_files(const struct certificate *c, const struct config_certificate *files,
                       tls_file_fn *fn, void *arg);

/* Gives ctx the certificate, beside those of other types. Returns 0 or -EINVAL. */
int certificate_use(const struct certificate *c, struct ssl_ctx_st *ctx);

#endif
