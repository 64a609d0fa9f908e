/* A TLS connection in user space, on a non-blocking socket, in either role.
 *
 * The stream reads from the socket exactly what OpenSSL asks for, so after the handshake no byte of
 * a later record has been read; but see tls_stream_read_ahead(). What the socket does not take is
 * kept in memory and sent by tls_stream_flush(); while there is such a rest, the caller must not
 * write more. For the thread that uses the connection; the socket stays the caller's.
 *
 * Functions return 0, or a number of bytes, or -errno:
 * -EAGAIN: call again when the socket is readable or, if tls_stream_has_rest(), writable;
 * -EPROTO, or -EBADMSG: a record did not decrypt: TLS has failed, tls_stream_why() says why;
 * others: the socket has failed.
 */
#ifndef ZPROXY_TLS_TLS_STREAM_H
#define ZPROXY_TLS_TLS_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and SSL */
struct ssl_st;
struct tls_stream;
struct tls_session_entry;

/* Streams of this context, a server's, note the name in their client's hello. OpenSSL does not tell
 * it if a session of TLS 1.2 is resumed, but the name that the session began with
 * (SSL_get_servername(3)). */
void tls_stream_note_names(struct ssl_ctx_st *ctx);

/* NULL: out of memory. */
struct tls_stream *tls_stream_new(struct ssl_ctx_st *ctx, int fd, bool server);
/* s may be NULL. Sends nothing. */
void tls_stream_free(struct tls_stream *s);

/* Of a client, before the handshake: resumes the session of the entry, if it has one, and keeps
 * new ones there. Takes ownership of the entry. The context must have been prepared for that. */
void tls_stream_resume(struct tls_stream *s, struct tls_session_entry *entry);
void tls_stream_prepare_sessions(struct ssl_ctx_st *ctx);

/* Before the handshake: no byte is sent, and the handshake returns -EPROTO for this reason. */
void tls_stream_refuse(struct tls_stream *s, const char *why);

/* Before the handshake, if the kernel will not take the connection: with fewer calls more is read
 * from the socket than the records of the handshake. */
void tls_stream_read_ahead(struct tls_stream *s);

/* Until this has returned 0, no other call but tls_stream_why() and tls_stream_free() is useful. An
 * alert about a failure has been sent when this returns. */
int tls_stream_handshake(struct tls_stream *s);

/* Returns the bytes read; 0: the peer has sent close_notify; -ECONNABORTED: it has closed the
 * connection without close_notify. */
ssize_t tls_stream_read(struct tls_stream *s, void *data, size_t size);

/* Encrypts and sends all of the data, or keeps what the socket does not take. */
int tls_stream_write(struct tls_stream *s, const void *data, size_t size);

/* Sends what was kept; 0: nothing is left. */
int tls_stream_flush(struct tls_stream *s);
bool tls_stream_has_rest(const struct tls_stream *s);
size_t tls_stream_rest(const struct tls_stream *s); /* bytes */

/* Frees the memory of buffers that are empty: for a stream that waits for its peer. Between its
 * bytes it is kept, so that moving them does not allocate. */
void tls_stream_trim(struct tls_stream *s);

/* Whether bytes were decrypted, or read from the socket, that tls_stream_read() has not returned:
 * the socket tells nothing about them. */
bool tls_stream_has_pending(const struct tls_stream *s);

/* Returns 1: the peer has sent close_notify, and everything before was read; 0: it has not; or
 * -errno as tls_stream_read(). Takes no data. */
int tls_stream_has_ended(struct tls_stream *s);

/* Sends close_notify, once. As tls_stream_write(). */
int tls_stream_close(struct tls_stream *s);

/* Why TLS has failed, as text; "" before. The first reason that was set counts. */
void tls_stream_set_why(struct tls_stream *s, const char *text);
const char *tls_stream_why(const struct tls_stream *s);

/* What was agreed: TLS_1_3; "TLS_AES_256_GCM_SHA384". */
uint16_t tls_stream_version(const struct tls_stream *s);
const char *tls_stream_cipher(const struct tls_stream *s);
/* Whether a record has come since the handshake; false after tls_stream_stay(). */
bool tls_stream_has_received(const struct tls_stream *s);
/* Whether an earlier session was resumed. */
bool tls_stream_is_resumed(const struct tls_stream *s);
/* The name in the client's hello; "": none, or the context has no tls_stream_note_names(). */
const char *tls_stream_server_name(const struct tls_stream *s);
/* The protocol of ALPN; *size 0: none was agreed. */
const unsigned char *tls_stream_alpn(const struct tls_stream *s, size_t *size);
/* Whether the peer has shown a certificate, which was verified if there are CAs for that; its CN is
 * copied as UTF-8, or "" if it has none. A CN has up to 64 letters (X.520). */
#define TLS_STREAM_NAME_MAX 257
bool tls_stream_peer_name(const struct tls_stream *s, char name[TLS_STREAM_NAME_MAX]);

/* The connection stays in user space: from now on the stream reads ahead, with fewer calls, and
 * stops a peer that sends control records without end. It goes on without OpenSSL's object if the
 * cipher is known to tls_record.h: then what was agreed cannot be asked any more, and tickets are
 * ignored. */
void tls_stream_stay(struct tls_stream *s);

/* Whether tls_stream_read() would find nothing until the next event, because the last read from the
 * socket found nothing, or less than it could have; for sockets where this means that they are
 * empty. */
bool tls_stream_is_drained(const struct tls_stream *s);

/* Whether bytes have come from the socket since the last call, with data or without. */
bool tls_stream_has_received_bytes(struct tls_stream *s);

/* NULL: see tls_stream_stay(). */
struct ssl_st *tls_stream_ssl(struct tls_stream *s);
/* The stream of an SSL that tls_stream_ssl() returns, for callbacks of OpenSSL. */
struct tls_stream *tls_stream_of(const struct ssl_st *ssl);

#endif
