/* What a [listen] section with tls = yes has: its certificates, and what may be agreed.
 *
 * Made by control at a start or reload, and constant afterwards: all workers use it. OpenSSL holds
 * one certificate for each type of key, and takes the one that the client can verify; so the
 * certificates that are for the same name, of ECDSA and of RSA, stand side by side.
 */
#ifndef ZPROXY_TLS_TLS_SERVER_CONTEXT_H
#define ZPROXY_TLS_TLS_SERVER_CONTEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "tls/certificate_info.h"
#include "tls/tls_problem.h"

struct tls_server_context;
struct tls_stream;

/* Makes the context of a section, which must outlive it. Returns 0; or -1 after each error was
 * reported. For the control thread. */
int tls_server_context_new(struct tls_server_context **out, const struct config_listen *conf,
                           const struct tls_problems *p);
/* c may be NULL. No handshake may use it any more; connections keep what they need. */
void tls_server_context_free(struct tls_server_context *c);

/* Makes a connection on an accepted socket. Returns NULL when out of memory. */
struct tls_stream *tls_server_context_accept(const struct tls_server_context *c, int fd);

/* Counts a full handshake for the certificate that the client got. */
void tls_server_context_count_use(struct tls_server_context *c, struct tls_stream *stream);

size_t tls_server_context_count(const struct tls_server_context *c);
void tls_server_context_certificate(const struct tls_server_context *c, size_t i,
                                    struct certificate_info *out);

/* Whether a certificate is for a name, or for one that matches the pattern "*.NAME". */
bool tls_server_context_covers(const struct tls_server_context *c, const char *pattern);

/* Calls fn() for each file that was read. c may be NULL. */
void tls_server_context_files(const struct tls_server_context *c, tls_file_fn *fn, void *arg);

#endif
