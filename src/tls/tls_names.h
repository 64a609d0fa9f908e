/* What certificates say, as text. For the files of this layer that include OpenSSL's headers. */
#ifndef ZPROXY_TLS_TLS_NAMES_H
#define ZPROXY_TLS_TLS_NAMES_H

#include "tls/tls_error.h"

struct x509_st; /* OpenSSL's X509 and X509_STORE_CTX */
struct x509_store_ctx_st;

/* The names and addresses that a certificate is for, with commas: those of its SAN, or else its CN;
 * bytes that are not printable as "?". "": none. The caller frees it; NULL: out of memory. */
char *tls_names_of(const struct x509_st *certificate);

/* Why a certificate was refused. Returns text. */
const char *tls_names_why_refused(struct x509_store_ctx_st *store, char text[TLS_ERROR_MAX]);

#endif
