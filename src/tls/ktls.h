/* TLS in the kernel (kTLS): Documentation/networking/tls.rst of Linux.
 *
 * The keys of a connection are given to its socket, each direction for itself. From then on the
 * kernel encrypts what is written, and decrypts what is read, so that the socket can be spliced.
 * Records that are not application data must be read and written here, with their type beside them.
 * What this kernel can do: ktls_support.h.
 *
 * For the thread that uses the socket. Functions return 0 or -errno.
 */
#ifndef ZPROXY_TLS_KTLS_H
#define ZPROXY_TLS_KTLS_H

#include <stdbool.h>
#include <stdint.h>

#include "tls/tls_cipher.h"
#include "tls/tls_control.h"

/* A pipe must have room for this many fragments before a splice from kTLS: those of the longest
 * record. Kernels before 6.1.190 and 6.12.113 drop what does not fit, without an error. */
#define KTLS_RECORD_SLOTS 18

/* Gives the socket the protocol; without keys it stays a plain one. -ENOENT: the module is not
 * loaded; -ENOTCONN: the connection is not established, or one end has sent FIN. */
int ktls_attach(int fd);

/* Gives the kernel the keys of one direction. A second time, after a KeyUpdate: -EBUSY before Linux
 * 6.14. -ENOENT: the kernel does not have the cipher. */
int ktls_set_keys(int fd, enum tls_direction direction, const struct tls_keys *keys);

/* Sets *sequence to the number of the next record. Needs version and cipher of the keys. */
int ktls_get_sequence(int fd, enum tls_direction direction, enum tls_cipher cipher,
                      uint64_t *sequence);

/* ---- what is sent beside data ---- */

/* -EAGAIN: not sent, the socket is full. */
int ktls_send_alert(int fd, bool fatal, enum tls_alert alert);
int ktls_send_key_update(int fd);

/* Sends what the kernel holds back. Call it when the socket is full: before Linux 6.5, splice(2)
 * puts records into the TCP stream as if more followed at once (MSG_SENDPAGE_NOTLAST). If the
 * socket is full then, nothing is sent, and so nothing makes room. */
void ktls_push(int fd);

/* Whether everything that was written has become part of the TCP stream. Until then shutdown(2) and
 * close(2) would lose it: the kernel keeps a record that does not fit into the socket's buffer, and
 * sends it later. written: ktls_written() when the socket was given its keys to send, plus what was
 * written since, with the overhead of each record. Returns 1, 0 or -errno. */
int ktls_is_flushed(int fd, uint64_t written);

/* Sets *written to the bytes that were put into the TCP stream so far. */
int ktls_written(int fd, uint64_t *written);

/* ---- what is received beside data ---- */

/* Reads the record that splice(2) has refused with EINVAL. server: this end is the server. Returns
 * a tls_control_event; -EAGAIN: there is none; or -errno. */
int ktls_read_control(int fd, struct tls_control_reader *reader, uint16_t version, bool server);

#endif
