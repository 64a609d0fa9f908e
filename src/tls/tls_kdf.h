/* Keys derived from secrets: HKDF-Expand-Label and HKDF-Extract of TLS 1.3 (RFC 8446, 7.1), the PRF
 * of TLS 1.2 (RFC 5246, 5). From any thread.
 *
 * OpenSSL has these too, but fetches derivation, MAC and hash by name each time, which takes longer
 * than to derive. Here each thread keeps a digest of libcrypto for each hash.
 */
#ifndef ZPROXY_TLS_TLS_KDF_H
#define ZPROXY_TLS_TLS_KDF_H

#include <stdbool.h>
#include <stddef.h>

#define TLS_KDF_HASH_MAX 48
#define TLS_KDF_INFO_MAX 255 /* bytes of a label with its prefix, of a context, of a seed */

struct tls_kdf_bytes {
    const unsigned char *at;
    size_t size;
};

struct tls_kdf_hash;

/* The hash of that name: SHA-256 or SHA-384, as OpenSSL calls them. NULL: another one, or libcrypto
 * does not have what is needed. */
const struct tls_kdf_hash *tls_kdf_hash_find(const char *name);
size_t tls_kdf_hash_size(const struct tls_kdf_hash *h);

/* Each of the following returns false if libcrypto fails. */

/* The label is given in two parts. size: at most that of the hash. */
bool tls_kdf_expand(const struct tls_kdf_hash *h, struct tls_kdf_bytes secret,
                    const struct tls_kdf_bytes label[2], struct tls_kdf_bytes context,
                    unsigned char *out, size_t size);

/* A missing salt or input (at = NULL) stands for zeros. */
bool tls_kdf_extract(const struct tls_kdf_hash *h, struct tls_kdf_bytes salt,
                     struct tls_kdf_bytes input, unsigned char *out);

/* The hash of no bytes at all. */
struct tls_kdf_bytes tls_kdf_hash_of_nothing(const struct tls_kdf_hash *h);

/* The seed begins with the label. */
bool tls_kdf_prf(const struct tls_kdf_hash *h, struct tls_kdf_bytes secret,
                 struct tls_kdf_bytes seed, unsigned char *out, size_t size);

#endif
