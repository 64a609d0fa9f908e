/* What encrypts one direction of a TLS connection. Needs no OpenSSL. */
#ifndef ZPROXY_TLS_TLS_CIPHER_H
#define ZPROXY_TLS_TLS_CIPHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Versions as in the protocol, and as OpenSSL has them. */
#define TLS_1_2 0x0303
#define TLS_1_3 0x0304

enum tls_direction {
    TLS_RECEIVE,
    TLS_SEND,
    TLS_DIRECTIONS,
};

/* The number of records that AES-GCM may encrypt with one key: 2^24.5 (RFC 8446, 5.5). */
#define TLS_GCM_RECORDS_MAX 23726566

/* The ciphers that the kernel has too: all of them authenticate by a tag of 16 bytes. */
enum tls_cipher {
    TLS_AES_128_GCM,
    TLS_AES_256_GCM,
    TLS_AES_128_CCM,
    TLS_CHACHA20_POLY1305,
    TLS_CIPHERS,
};

#define TLS_RECORD_HEADER 5
#define TLS_TAG_SIZE      16
#define TLS_KEY_MAX       32
#define TLS_IV_SIZE       12
#define TLS_SALT_SIZE     4 /* of the IV of AES in TLS 1.2: the rest is in each record */
#define TLS_SECRET_MAX    48

/* A traffic secret of TLS 1.3. Its length is that of the hash: SHA-256 or SHA-384. */
struct tls_secret {
    uint8_t length; /* 0: none, as in TLS 1.2 */
    unsigned char bytes[TLS_SECRET_MAX];
};

/* What encrypts one direction. */
struct tls_keys {
    bool server;      /* this end is the server */
    uint16_t version; /* TLS_1_2, TLS_1_3 */
    uint8_t cipher;   /* enum tls_cipher */
    unsigned char key[TLS_KEY_MAX];
    unsigned char iv[TLS_IV_SIZE]; /* AES in TLS 1.2: 4 bytes, and 8 that begin the explicit part */
    uint64_t sequence;             /* number of the next record */
    struct tls_secret secret;      /* TLS 1.3: what the next keys are derived from */
};

/* "1.3"; "": no version that zproxy uses. */
const char *tls_cipher_version_name(uint16_t version);

/* Erases keys from memory. */
void tls_cipher_clear(struct tls_keys *keys);

/* Bytes of a key. */
size_t tls_cipher_key_size(enum tls_cipher cipher);

/* Bytes that a record of application data has beside the data: header, nonce, type, tag. */
size_t tls_cipher_overhead(uint16_t version, enum tls_cipher cipher);

/* Bytes of the nonce that are in each record; 0: the nonce is made of the number of the record. */
size_t tls_cipher_explicit_nonce(uint16_t version, enum tls_cipher cipher);

#endif
