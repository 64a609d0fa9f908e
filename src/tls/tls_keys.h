/* The keys of a TLS connection, so that the kernel can continue it (ktls.h).
 *
 * OpenSSL does not return the keys that it uses. They are noted where a handshake derives them: the
 * traffic secrets of TLS 1.3 and the key block of TLS 1.2 (tls_provider.h). Where OpenSSL is
 * configured to derive in another way, the secrets come from its key log, and the master secret is
 * expanded again. Keys and nonces follow as RFC 8446, section 7.3, and RFC 5246, section 6.3, say;
 * so this works alike with each version of OpenSSL and in both roles. The records under the present
 * keys are counted, because the number of the next one is part of its encryption.
 *
 * For the thread that uses the connection.
 */
#ifndef ZPROXY_TLS_TLS_KEYS_H
#define ZPROXY_TLS_TLS_KEYS_H

#include "tls/tls_cipher.h"

struct ssl_ctx_st; /* OpenSSL's SSL_CTX and SSL */
struct ssl_st;
struct ssl_method_st;

/* Makes a context whose connections have their secrets noted and their records counted, and
 * SSL_do_handshake() replaced by tls_keys_handshake(). NULL: out of memory. */
struct ssl_ctx_st *tls_keys_context(const struct ssl_method_st *method);

/* As SSL_do_handshake(). Also for connections of other contexts. */
int tls_keys_handshake(struct ssl_st *ssl);

/* Stops counting: for a connection that stays in user space. tls_keys_get() fails afterwards. */
void tls_keys_unwatch(struct ssl_st *ssl);

/* Sets the present keys of both directions of a connection whose handshake is complete. The caller
 * clears them after use (tls_cipher_clear()), also after an error. Returns 0; -EBUSY: a KeyUpdate
 * will be sent before the next data; -EOPNOTSUPP: the kernel does not have the version or the
 * cipher; -EMSGSIZE: records must be shorter than the kernel makes them (RFC 6066,
 * max_fragment_length); -ENOKEY: secrets are not known; -EKEYREJECTED: OpenSSL failed. */
int tls_keys_get(struct ssl_st *ssl, struct tls_keys keys[TLS_DIRECTIONS]);

/* The number of records that were received under the present keys. */
uint64_t tls_keys_received(const struct ssl_st *ssl);

/* Replaces TLS 1.3 keys by the next ones, those after a KeyUpdate (RFC 8446, 7.2). Needs version,
 * cipher and secret. Returns 0, -ENOKEY or -EKEYREJECTED. */
int tls_keys_update(struct tls_keys *keys);

/* Sets key and iv of TLS 1.3 from the secret. Returns 0, -ENOKEY or -EKEYREJECTED. */
int tls_keys_derive(struct tls_keys *keys);

#endif
