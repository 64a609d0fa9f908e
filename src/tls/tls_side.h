/* What a side of a session has if it speaks TLS: a connection in user space, or one that the kernel
 * has. For the thread that uses the socket. */
#ifndef ZPROXY_TLS_TLS_SIDE_H
#define ZPROXY_TLS_TLS_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/tls_kernel.h"

struct tls_stream;

struct tls_side {
    struct tls_stream *stream; /* in user space; NULL: kernel has it */
    struct tls_kernel kernel;
    bool cut;     /* in user space: the stream has ended without close_notify */
    bool resumed; /* an earlier session was continued */
    /* Bytes of this side that were decrypted, and that the other side has not taken. */
    uint32_t held;
    uint32_t held_sent;
    unsigned char *held_bytes;
    char *peer;          /* CN of the peer's certificate, or ""; NULL: it has shown none */
    char *error;         /* why TLS has failed; NULL: it has not */
    const char *version; /* static: "1.3" */
    const char *cipher;  /* static: "TLS_AES_256_GCM_SHA384" */
};

/* Takes ownership of the stream; NULL: out of memory, and the stream was freed. */
struct tls_side *tls_side_new(struct tls_stream *stream);
/* t may be NULL. Sends nothing. */
void tls_side_free(struct tls_side *t);

/* To be called when the handshake is complete. */
void tls_side_agreed(struct tls_side *t);

/* Notes why TLS has failed, for the log: the first reason counts. */
void tls_side_failed(struct tls_side *t, const char *why);

/* Keeps bytes for which the other side has no room; there must be none yet. Returns 0 or -ENOMEM.
 */
int tls_side_hold(struct tls_side *t, const void *bytes, size_t size);
void tls_side_drop_held(struct tls_side *t);

#endif
