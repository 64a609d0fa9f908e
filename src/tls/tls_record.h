/* Records of a TLS connection whose keys are known, encrypted and decrypted here (RFC 8446, 5; RFC
 * 5246, 6.2 with RFC 5288 and RFC 7905).
 *
 * OpenSSL's SSL is only needed for the handshake: without it an idle connection takes a fifth of
 * the memory, and a record is decrypted to where it is sent from. For the thread that uses the
 * connection.
 */
#ifndef ZPROXY_TLS_TLS_RECORD_H
#define ZPROXY_TLS_TLS_RECORD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "tls/tls_cipher.h"

#define TLS_RECORD_DATA     (16 * 1024)                                  /* at most */
#define TLS_RECORD_MAX      (TLS_RECORD_HEADER + TLS_RECORD_DATA + 2048) /* of any version */
#define TLS_RECORD_OVERHEAD 32                                           /* at most, as sent */

enum tls_record_type {
    TLS_RECORD_CHANGE_CIPHER_SPEC = 20,
    TLS_RECORD_ALERT = 21,
    TLS_RECORD_HANDSHAKE = 22,
    TLS_RECORD_APPLICATION_DATA = 23,
};

struct tls_records;

/* NULL: out of memory, or a cipher that is not known here. */
struct tls_records *tls_records_new(const struct tls_keys keys[TLS_DIRECTIONS]);
/* r may be NULL. */
void tls_records_free(struct tls_records *r);

/* Writes one record with size bytes, at most TLS_RECORD_DATA, to out, which has room for
 * TLS_RECORD_OVERHEAD more. Returns its bytes, or -EIO. */
ssize_t tls_records_seal(struct tls_records *r, enum tls_record_type type, const void *data,
                         size_t size, unsigned char *out);

/* The bytes of the record that begins with this header. Returns -EMSGSIZE: it is too long; -EPROTO:
 * it is no record; -EPROTONOSUPPORT: it is one of another version. */
ssize_t tls_records_size(const struct tls_records *r,
                         const unsigned char header[TLS_RECORD_HEADER]);

/* The bytes of plaintext that a record of so many bytes has at most. */
size_t tls_records_plaintext(const struct tls_records *r, size_t size);

/* Decrypts a record to data, which has room for its plaintext. Returns its bytes and sets *type;
 * -EBADMSG: it was tampered with; -EMSGSIZE: too long; -EPROTO: it has no type. */
ssize_t tls_records_open(struct tls_records *r, const unsigned char *record, size_t size,
                         uint8_t *type, unsigned char *data);

/* Replaces the keys of one direction by the next ones (KeyUpdate). Returns 0, -ENOKEY or
 * -EKEYREJECTED. */
int tls_records_update(struct tls_records *r, enum tls_direction direction);

uint16_t tls_records_version(const struct tls_records *r);

/* Whether so many records were sent with the present keys that new ones are due. */
bool tls_records_update_is_due(const struct tls_records *r);

/* Whether no more may be sent with the present keys, and there are no next ones: TLS 1.2. */
bool tls_records_are_used_up(const struct tls_records *r);

#endif
