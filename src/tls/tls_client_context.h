/* What connections to the servers of a pool use for TLS: trusted CAs, a client certificate, limits
 * of what is agreed. Made by the control thread, constant afterwards, used by all threads.
 */
#ifndef ZPROXY_TLS_TLS_CLIENT_CONTEXT_H
#define ZPROXY_TLS_TLS_CLIENT_CONTEXT_H

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "tls/certificate_info.h"
#include "tls/tls_problem.h"

struct tls_client_context;
struct tls_session_cache;
struct tls_stream;

/* Reads the files. Returns 0; or -1 after each error was reported. */
int tls_client_context_new(struct tls_client_context **out, const struct config_pool *conf,
                           const struct tls_problems *p);
/* c may be NULL. Connections that exist keep what they need. */
void tls_client_context_free(struct tls_client_context *c);

/* The certificate that servers are shown; false: none. c may be NULL. */
bool tls_client_context_certificate(const struct tls_client_context *c,
                                    struct certificate_info *out);

/* Calls fn() for each file that was read. c may be NULL. */
void tls_client_context_files(const struct tls_client_context *c, tls_file_fn *fn, void *arg);

/* The server of a connection. */
struct tls_client_peer {
    /* A name or an IP address: the hello has it if it is a name, and the certificate must be for
     * it. NULL: the hello has none; with verification the handshake fails before a hello. */
    const char *host;
    struct tls_session_cache *sessions; /* of the thread; NULL: no session is resumed */
    uint32_t server;                    /* serial of the server, for that */
};

/* Makes a connection on a connected socket. Returns NULL when out of memory. */
struct tls_stream *tls_client_context_connect(struct tls_client_context *c, int fd,
                                              const struct tls_client_peer *peer);

#endif
