/* What a side of a session has if it speaks TLS: a connection in user space, or one that the kernel
 * has. For the thread that uses the socket. */
#ifndef ZPROXY_TLS_TLS_SIDE_H
#define ZPROXY_TLS_TLS_SIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "tls/tls_kernel.h"

struct tls_stream;

/* Why a connection stays in user space. */
enum tls_user_reason {
    TLS_USER_NONE,        /* it does not, or there was no handshake yet */
    TLS_USER_CONFIG,      /* tls_kernel = no */
    TLS_USER_RELAY,       /* relay = copy, or this kernel does not splice */
    TLS_USER_PIPE_SIZE,   /* a pipe has no room for a record: KTLS_RECORD_SLOTS */
    TLS_USER_NO_KERNEL,   /* ktls_support() says why */
    TLS_USER_NO_TCP,      /* a unix socket */
    TLS_USER_CIPHER,      /* the kernel does not have the cipher */
    TLS_USER_RECORD_SIZE, /* the peer wants short records (RFC 6066, max_fragment_length) */
    TLS_USER_ENDED,       /* the peer has sent FIN already */
    TLS_USER_PENDING,     /* bytes of the handshake are not sent, or bytes were read already */
    TLS_USER_ERROR,
    TLS_USER_REASONS,
};

const char *tls_user_reason_name(enum tls_user_reason why);

struct tls_side {
    struct tls_stream *stream; /* in user space; NULL: kernel has it */
    struct tls_kernel kernel;
    bool cut;           /* in user space: the stream has ended without close_notify */
    bool resumed;       /* of an earlier session */
    bool defers;        /* the kernel takes it later: tls_switch_later() */
    uint8_t user;       /* enum tls_user_reason */
    uint16_t version;   /* that was agreed: TLS_1_3; 0: none */
    uint64_t began;     /* with a server: when the handshake began, ms */
    struct buffer held; /* decrypted bytes of this side that the other side has not taken */
    char *peer;         /* CN of the peer's certificate, or ""; NULL: it has shown none */
    char *error;        /* why TLS has failed; NULL: it has not */
    const char *cipher; /* that was agreed, static: "TLS_AES_256_GCM_SHA384" */
};

/* Takes ownership of the stream; NULL: out of memory, and the stream was freed. */
struct tls_side *tls_side_new(struct tls_stream *stream);
/* For a connection that came by a handover. The peer may be NULL. NULL: out of memory. */
struct tls_side *tls_side_restore(const struct tls_kernel *k, const char *cipher, const char *peer);
/* t may be NULL. Sends nothing. */
void tls_side_free(struct tls_side *t);

/* Frees the stream: the connection has ended. */
void tls_side_stop(struct tls_side *t);

/* To be called when the handshake is complete. */
void tls_side_agreed(struct tls_side *t);

/* Gives the connection to the kernel, and frees the stream. data: as for tls_kernel_take(), which
 * also says what is returned. After an error it stays in user space, unless it is -EIO: then the
 * connection is lost, and the reason is noted. */
int tls_side_enter_kernel(struct tls_side *t, int fd, uint64_t data);

/* In user space: sends what the stream has kept. Sets *progress if the socket has taken some of it.
 * Returns as tls_stream_flush(). */
int tls_side_flush(struct tls_side *t, bool *progress);

/* Returns 1: nothing but the end of the peer's stream is left to read; -errno: TLS has failed; 0:
 * neither. The end itself may be taken from the socket, data is not. */
int tls_side_has_ended(struct tls_side *t, int fd);

/* Notes why TLS has failed, for the log: the first reason counts. */
void tls_side_failed(struct tls_side *t, const char *why);
/* Likewise for the error of a read or, with sends, of a write; t may be NULL. Notes nothing if the
 * socket has failed, not TLS. */
void tls_side_note_error(struct tls_side *t, int error, bool sends);

/* Frees memory that is not needed while the side waits. */
void tls_side_trim(struct tls_side *t);

#endif
