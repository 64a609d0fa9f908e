/* TLS sessions with servers, so that a later connection resumes one with a short handshake.
 *
 * A worker has a cache of its own, so nothing is locked. A session is only resumed with the
 * server, the context and the name that it began with; a reload makes new contexts. The newest
 * session of each is kept, for an hour at most; of all together TLS_SESSIONS_MAX, of which the one
 * that was used least recently makes room.
 */
#ifndef ZPROXY_TLS_TLS_SESSION_CACHE_H
#define ZPROXY_TLS_TLS_SESSION_CACHE_H

#include <stddef.h>
#include <stdint.h>

#define TLS_SESSIONS_MAX 1024

struct ssl_session_st; /* OpenSSL's SSL_SESSION */
struct tls_session_cache;
struct tls_session_entry;

struct tls_session_key {
    uint64_t context; /* of tls_client_context.h */
    uint32_t server;  /* serial of the server */
    const char *host; /* the name that the certificate was verified for; "": none */
};

/* NULL: out of memory; then, and without OpenSSL, no session is resumed. */
struct tls_session_cache *tls_session_cache_new(void);
/* c may be NULL. No connection may use it any more. */
void tls_session_cache_free(struct tls_session_cache *c);

/* For a connection: the entry of the key, which the caller gives back by tls_session_entry_put().
 * NULL: out of memory. */
struct tls_session_entry *tls_session_cache_get(struct tls_session_cache *c,
                                                const struct tls_session_key *key);
void tls_session_entry_put(struct tls_session_entry *e);

/* The session to resume, which stays the entry's; NULL: none. */
struct ssl_session_st *tls_session_entry_session(struct tls_session_entry *e);
/* Takes ownership of a reference to the session. */
void tls_session_entry_keep(struct tls_session_entry *e, struct ssl_session_st *session);

/* The number of sessions that are kept. */
size_t tls_session_cache_count(const struct tls_session_cache *c);

#endif
