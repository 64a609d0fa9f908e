/* A TLS connection whose records the kernel encrypts and decrypts: what user space still has to
 * know and to do.
 *
 * The kernel has both directions, so the SSL object is not needed any more. This is all there is of
 * the connection, and it is plain, so that a handover can send it. For the thread that uses the
 * socket. Functions return 0 or -errno unless they say otherwise.
 */
#ifndef ZPROXY_TLS_TLS_KERNEL_H
#define ZPROXY_TLS_TLS_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/ktls.h"

struct ssl_st; /* OpenSSL's SSL */

struct tls_kernel {
    bool server;         /* this end is the server */
    bool close_received; /* the peer has sent close_notify */
    bool close_sent;
    bool update_due; /* the peer wants new keys: KeyUpdate must be sent before the next data */
    uint8_t cipher;  /* enum tls_cipher */
    uint16_t version;
    struct tls_control_reader reader;
    uint32_t uncounted; /* records that may have been sent since the kernel was asked */
    /* Bytes of the TCP stream that are neither data nor the overhead of records under the present
     * keys; see tls_kernel_is_flushed(). Calculated modulo 2^64. */
    uint64_t beside;
    /* For a KeyUpdate; their length is 0 if this kernel cannot follow one. */
    struct tls_secret secret[TLS_DIRECTIONS];
};

/* Gives the kernel both directions. data: bytes of data that were sent so far. Before, everything
 * that OpenSSL has written must be in the socket, and everything that it has read must be taken.
 * After an error the connection continues in user space, unless *lost is set: the kernel has taken
 * one direction only. -ENOTCONN: an end has sent FIN; -ENOENT: the kernel has no TLS, or not this
 * cipher; others as tls_keys_get(). */
int tls_kernel_take(struct tls_kernel *k, struct ssl_st *ssl, int fd, uint64_t data, bool *lost);

/* For a record that splice(2) or recv(2) did not return: reads it and does what it asks for.
 * Returns 0: go on; 1: the peer has sent close_notify; -EAGAIN: there is none; -EPROTO: an alert
 * ended the connection, or the peer has broken the protocol (tls_error_control()); -EKEYEXPIRED:
 * the peer has changed its keys, and this kernel cannot follow. */
int tls_kernel_control(struct tls_kernel *k, int fd);

/* Call when data was read from the socket. Returns 0; or -EPROTO if the data stands between the
 * parts of a message (RFC 8446, 5.1): it must not be passed on. */
int tls_kernel_received(struct tls_kernel *k, int fd);

/* Call before data is sent while k->update_due. -EAGAIN: when the socket is writable again. */
int tls_kernel_update(struct tls_kernel *k, int fd);

/* Counts what a call has sent: bytes, from so many fragments at most. Returns 0, or -EKEYEXPIRED:
 * no more may be encrypted with this key. */
int tls_kernel_count(struct tls_kernel *k, int fd, size_t bytes, uint32_t fragments);

/* Sends close_notify, once. -EAGAIN: when the socket is writable again. */
int tls_kernel_close(struct tls_kernel *k, int fd);

/* Whether everything that was sent is in the TCP stream, so that shutdown(2) and close(2) do not
 * lose it. data: bytes that were sent. Returns 1, 0 or -errno. */
int tls_kernel_is_flushed(const struct tls_kernel *k, int fd, uint64_t data);

/* Checks what came by a handover. */
bool tls_kernel_is_valid(const struct tls_kernel *k);

#endif
