#include "tls/tls_cipher.h"

#include <string.h>

const char *tls_cipher_version_name(uint16_t version)
{
    switch (version) {
    case TLS_1_2:
        return "1.2";
    case TLS_1_3:
        return "1.3";
    }
    return "";
}

size_t tls_cipher_key_size(enum tls_cipher cipher)
{
    return cipher == TLS_AES_128_GCM || cipher == TLS_AES_128_CCM ? 16 : 32;
}

size_t tls_cipher_overhead(uint16_t version, enum tls_cipher cipher)
{
    size_t type = version == TLS_1_3 ? 1 : 0; /* encrypted behind the data */
    return TLS_RECORD_HEADER + tls_cipher_explicit_nonce(version, cipher) + type + TLS_TAG_SIZE;
}

size_t tls_cipher_explicit_nonce(uint16_t version, enum tls_cipher cipher)
{
    return version == TLS_1_3 || cipher == TLS_CHACHA20_POLY1305 ? 0 : TLS_IV_SIZE - TLS_SALT_SIZE;
}

void tls_cipher_clear(struct tls_keys *keys)
{
    explicit_bzero(keys, sizeof *keys);
}
