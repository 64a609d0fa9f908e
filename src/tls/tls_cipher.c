#include "tls/tls_cipher.h"

#include <string.h>

/* The parts of a record; TLS 1.3 encrypts the type too. */
#define HEADER_SIZE         5
#define EXPLICIT_NONCE_SIZE 8
#define TYPE_SIZE           1
#define TAG_SIZE            16

size_t tls_cipher_key_size(enum tls_cipher cipher)
{
    return cipher == TLS_AES_128_GCM || cipher == TLS_AES_128_CCM ? 16 : 32;
}

size_t tls_cipher_overhead(uint16_t version, enum tls_cipher cipher)
{
    if (version == TLS_1_3)
        return HEADER_SIZE + TYPE_SIZE + TAG_SIZE;
    return HEADER_SIZE + (cipher == TLS_CHACHA20_POLY1305 ? 0 : EXPLICIT_NONCE_SIZE) + TAG_SIZE;
}

void tls_cipher_clear(struct tls_keys *keys)
{
    explicit_bzero(keys, sizeof *keys);
}
