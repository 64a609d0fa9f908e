/* The provider (provider-kdf(7)) by which OpenSSL's handshakes derive their keys with tls_kdf.h,
 * and by which zproxy learns them.
 *
 * OpenSSL returns no traffic secrets; its key log prints them, with all others of a handshake,
 * digit by digit. Here they are noted where they are derived. What a handshake does not ask for is
 * left to OpenSSL's own derivation.
 */
#ifndef ZPROXY_TLS_TLS_PROVIDER_H
#define ZPROXY_TLS_TLS_PROVIDER_H

#include "tls/tls_cipher.h"

/* Of both ends: keys, then what is fixed of the nonces. */
#define TLS_KEY_BLOCK_MAX (2 * (TLS_KEY_MAX + TLS_IV_SIZE))

/* Of one end in TLS 1.3. Sizes are 0 for what was not derived. */
struct tls_noted_end {
    struct tls_secret secret; /* client_ or server_application_traffic_secret_0 */
    uint8_t key_size;
    uint8_t iv_size;
    unsigned char key[TLS_KEY_MAX];
    unsigned char iv[TLS_IV_SIZE];
};

struct tls_noted {
    struct tls_noted_end client;
    struct tls_noted_end server;
    uint8_t key_block_size;
    unsigned char key_block[TLS_KEY_BLOCK_MAX]; /* TLS 1.2: its begin (RFC 5246, 6.3) */
};

/* The properties with which SSL_CTX_new_ex() uses this provider. NULL: it cannot be used, because
 * OpenSSL is configured to use others only (fips=yes), or without memory. Asked for each context,
 * because that can be changed at any time (EVP_set_default_properties(3)). From any thread. */
const char *tls_provider_properties(void);

/* Notes what this thread derives from now on; NULL: nothing. */
void tls_provider_note(struct tls_noted *noted);

#endif
