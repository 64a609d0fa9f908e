/* A certificate with its chain and its key. For the files of this layer that include OpenSSL's
 * headers, and for the control thread. */
#ifndef ZPROXY_TLS_CERTIFICATE_H
#define ZPROXY_TLS_CERTIFICATE_H

#include <stddef.h>
#include <time.h>

#include "config/config.h"
#include "tls/certificate_info.h"
#include "tls/tls_files.h"

struct ssl_ctx_st;

/* Keys of different types can stand side by side: a client takes what it can verify. */
enum certificate_type {
    CERTIFICATE_RSA,
    CERTIFICATE_ECDSA,
    CERTIFICATE_ED25519,
    CERTIFICATE_TYPES,
};

struct certificate {
    struct tls_files_certificate files;
    enum certificate_type type;
    char **name; /* of hosts, from its SAN, or else its CN; in lower case */
    size_t name_count;
    char *names; /* for people: tls_names_of() */
    time_t not_before;
    time_t not_after;
};

/* Returns 0; or -errno, and text says what is wrong with which file. The caller calls
 * certificate_fini() in both cases. */
int certificate_load(struct certificate *c, const struct config_certificate *files,
                     char text[TLS_FILE_ERROR_MAX]);
void certificate_fini(struct certificate *c);

void certificate_info(const struct certificate *c, const char *file, struct certificate_info *info);

/* Calls fn() for its file, and for that of its key if it has one of its own. */
void certificate_files(const struct certificate *c, const struct config_certificate *files,
                       tls_file_fn *fn, void *arg);

/* Gives ctx, an SSL_CTX of OpenSSL, the certificate, beside those of other types. Returns 0; or
 * -EINVAL, and text says what is wrong with it. */
int certificate_use(const struct certificate *c, const struct config_certificate *files,
                    struct ssl_ctx_st *ctx, char text[TLS_FILE_ERROR_MAX]);

#endif
