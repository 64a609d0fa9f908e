/* Session tickets (RFC 5077, RFC 8446 4.6.1): keys that encrypt what a client needs to resume a
 * session without a full handshake.
 *
 * All workers and listeners share the keys of the process, so a client may resume on any of them.
 * A new key is made each day, and tickets of the key before are still read, so that each ticket can
 * be read for its lifetime. Keys of files are shared between machines. From any thread.
 *
 * A session ends TLS_TICKETS_LIFETIME after its full handshake, however often it is resumed.
 * OpenSSL gives each ticket of TLS 1.3 the whole lifetime again, so that a client would be verified
 * once and never again; nginx counts from the full handshake too.
 */
#ifndef ZPROXY_TLS_TLS_TICKETS_H
#define ZPROXY_TLS_TLS_TICKETS_H

#include <stddef.h>
#include <stdint.h>

#include "tls/tls_files.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX */

/* How long a session may be resumed after its full handshake, in seconds: longer than the default
 * of HAProxy and nginx (five minutes), as clients of a TCP proxy hold connections for long and come
 * back late, and not longer than tls_session_cache.h keeps those with servers. OpenSSL's own
 * default is two hours. */
#define TLS_TICKETS_LIFETIME (60 * 60)

/* Keys of files; constant once made. */
struct tls_ticket_keys;

/* Reads files of 48 or 80 bytes, as nginx and HAProxy have them: the first one encrypts, all
 * decrypt. Sets *keys to NULL if there are none. Returns 0; or -errno, with text and the index of
 * the file that cannot be used. */
int tls_tickets_load(struct tls_ticket_keys **keys, char *const *file, size_t count, size_t *bad,
                     char text[TLS_FILE_ERROR_MAX]);
void tls_tickets_free(struct tls_ticket_keys *keys);
/* Of the content of file i. */
uint64_t tls_tickets_digest(const struct tls_ticket_keys *keys, size_t i);

/* What tickets a context makes, and which ones it takes. */
struct tls_tickets {
    const struct tls_ticket_keys *keys; /* NULL: those of the process */
    /* Identifies what stands for a name, "" for none: a session is resumed only while that is as it
     * was. */
    uint64_t (*identity)(const void *arg, const char *name);
    const void *arg;
};

/* Lets connections of ctx use tickets. Everything must outlive ctx. They must be streams with
 * tls_stream_note_names(): a session is resumed only with the name that it began with. Returns 0 or
 * -ENOMEM. */
int tls_tickets_use(struct ssl_ctx_st *ctx, const struct tls_tickets *tickets);

#endif
