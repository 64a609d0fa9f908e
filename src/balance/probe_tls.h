/* The TLS of a check: a tls_stream, and what was decrypted and is not judged yet, as bytes without
 * TLS stay in the socket. For the control thread; nothing here waits. */
#ifndef ZPROXY_BALANCE_PROBE_TLS_H
#define ZPROXY_BALANCE_PROBE_TLS_H

#include <stddef.h>
#include <sys/types.h>

#include "balance/script.h"

struct probe_tls;

/* NULL: out of memory. The socket stays the caller's. */
struct probe_tls *probe_tls_new(const struct script *script, int fd);
/* t may be NULL. */
void probe_tls_free(struct probe_tls *t);

/* As tls_stream_handshake(). */
int probe_tls_handshake(struct probe_tls *t);

/* As recv(2) with MSG_PEEK, and send(2). EPROTO: probe_tls_why(). */
ssize_t probe_tls_peek(struct probe_tls *t, char *data, size_t size);
ssize_t probe_tls_send(struct probe_tls *t, const char *data, size_t len);

/* Removes the first len bytes of what was peeked at. */
void probe_tls_discard(struct probe_tls *t, size_t len);

/* Sends what the socket did not take before. */
void probe_tls_flush(struct probe_tls *t);

/* Sends close_notify. */
void probe_tls_close(struct probe_tls *t);

const char *probe_tls_why(const struct probe_tls *t);

#endif
