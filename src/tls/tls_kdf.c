#include "tls/tls_kdf.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* uint16 length; opaque label<7..255>; opaque context<0..255>; and the counter of HKDF-Expand */
#define LABEL_MAX (2 + 1 + TLS_KDF_INFO_MAX + 1 + TLS_KDF_INFO_MAX + 1)

#define BLOCK_MAX 128

struct tls_kdf_hash {
    const char *name;
    const char *alias;
    size_t size;
    size_t block; /* what it takes at a time */
    EVP_MD *md;
    unsigned char of_nothing[TLS_KDF_HASH_MAX];
};

static struct tls_kdf_hash hashes[] = {
    { .name = "SHA2-256", .alias = "SHA256", .size = 32, .block = 64 },
    { .name = "SHA2-384", .alias = "SHA384", .size = 48, .block = 128 },
};
#define HASHES (sizeof hashes / sizeof hashes[0])

/* Of a thread: one for each hash, which keeps its memory. */
struct digests {
    EVP_MD_CTX *digest[HASHES];
};

static struct {
    pthread_once_t once;
    bool is_usable;
    pthread_key_t digests;
} library = { .once = PTHREAD_ONCE_INIT };

/* ---- HMAC (RFC 2104) ---- */

static void digests_free(void *digests)
{
    struct digests *d = digests;
    for (size_t i = 0; i < HASHES; i++)
        EVP_MD_CTX_free(d->digest[i]);
    free(d);
}

static struct digests *digests_new(void)
{
    struct digests *d = calloc(1, sizeof *d);
    bool ok = d != NULL;
    for (size_t i = 0; i < HASHES && ok; i++)
        ok = (d->digest[i] = EVP_MD_CTX_new()) != NULL;
    if (ok && pthread_setspecific(library.digests, d) == 0)
        return d;
    if (d != NULL)
        digests_free(d);
    return NULL;
}

/* NULL: out of memory. */
static EVP_MD_CTX *digest_of(const struct tls_kdf_hash *h)
{
    struct digests *d = pthread_getspecific(library.digests);
    if (d == NULL)
        d = digests_new();
    return d == NULL ? NULL : d->digest[h - hashes];
}

static bool update(EVP_MD_CTX *digest, struct tls_kdf_bytes bytes)
{
    return bytes.size == 0 || EVP_DigestUpdate(digest, bytes.at, bytes.size) == 1;
}

static bool hash(const struct tls_kdf_hash *h, EVP_MD_CTX *digest,
                 const struct tls_kdf_bytes part[3], unsigned char *out)
{
    return EVP_DigestInit_ex2(digest, h->md, NULL) == 1 && update(digest, part[0]) &&
           update(digest, part[1]) && update(digest, part[2]) &&
           EVP_DigestFinal_ex(digest, out, NULL) == 1;
}

/* The key for the inner hash; a long one is hashed first. */
static bool pad_key(const struct tls_kdf_hash *h, EVP_MD_CTX *digest, struct tls_kdf_bytes key,
                    unsigned char pad[BLOCK_MAX])
{
    const struct tls_kdf_bytes parts[3] = { key };
    memset(pad, 0, BLOCK_MAX);
    if (key.size > h->block && !hash(h, digest, parts, pad))
        return false;
    if (key.size <= h->block && key.size > 0)
        memcpy(pad, key.at, key.size);
    for (size_t i = 0; i < h->block; i++)
        pad[i] ^= 0x36;
    return true;
}

/* Of two parts of data. */
static bool hmac(const struct tls_kdf_hash *h, struct tls_kdf_bytes key, struct tls_kdf_bytes first,
                 struct tls_kdf_bytes second, unsigned char out[TLS_KDF_HASH_MAX])
{
    unsigned char pad[BLOCK_MAX], inner[TLS_KDF_HASH_MAX];
    const struct tls_kdf_bytes padded = { pad, h->block };
    const struct tls_kdf_bytes in[3] = { padded, first, second };
    const struct tls_kdf_bytes around[3] = { padded, { inner, h->size } };
    EVP_MD_CTX *digest = digest_of(h);
    bool ok = digest != NULL && pad_key(h, digest, key, pad) && hash(h, digest, in, inner);
    for (size_t i = 0; i < h->block && ok; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    ok = ok && hash(h, digest, around, out);
    OPENSSL_cleanse(pad, sizeof pad);
    OPENSSL_cleanse(inner, sizeof inner);
    return ok;
}

/* ---- prepared ---- */

static bool prepare_hash(struct tls_kdf_hash *h)
{
    h->md = EVP_MD_fetch(NULL, h->name, NULL);
    return h->md != NULL && EVP_Digest("", 0, h->of_nothing, NULL, h->md, NULL) == 1;
}

static void prepare_library(void)
{
    library.is_usable = pthread_key_create(&library.digests, digests_free) == 0;
    for (size_t i = 0; i < HASHES; i++)
        library.is_usable = library.is_usable && prepare_hash(&hashes[i]);
    ERR_clear_error();
}

const struct tls_kdf_hash *tls_kdf_hash_find(const char *name)
{
    pthread_once(&library.once, prepare_library);
    for (size_t i = 0; i < HASHES && library.is_usable; i++)
        if (strcmp(name, hashes[i].name) == 0 || strcmp(name, hashes[i].alias) == 0)
            return &hashes[i];
    return NULL;
}

size_t tls_kdf_hash_size(const struct tls_kdf_hash *h)
{
    return h->size;
}

struct tls_kdf_bytes tls_kdf_hash_of_nothing(const struct tls_kdf_hash *h)
{
    return (struct tls_kdf_bytes){ h->of_nothing, h->size };
}

/* ---- TLS 1.3 ---- */

static unsigned char *put(unsigned char *to, struct tls_kdf_bytes bytes)
{
    if (bytes.size > 0)
        memcpy(to, bytes.at, bytes.size);
    return to + bytes.size;
}

/* The result fits into the first block of HKDF-Expand (RFC 5869, 2.3). */
bool tls_kdf_expand(const struct tls_kdf_hash *h, struct tls_kdf_bytes secret,
                    const struct tls_kdf_bytes label[2], struct tls_kdf_bytes context,
                    unsigned char *out, size_t size)
{
    const struct tls_kdf_bytes none = { NULL, 0 };
    unsigned char info[LABEL_MAX], block[TLS_KDF_HASH_MAX];
    unsigned char *to = info;
    *to++ = (unsigned char)(size >> 8);
    *to++ = (unsigned char)size;
    *to++ = (unsigned char)(label[0].size + label[1].size);
    to = put(put(to, label[0]), label[1]);
    *to++ = (unsigned char)context.size;
    to = put(to, context);
    *to++ = 1;
    struct tls_kdf_bytes all = { info, (size_t)(to - info) };
    bool ok = hmac(h, secret, all, none, block);
    if (ok)
        memcpy(out, block, size);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}

bool tls_kdf_extract(const struct tls_kdf_hash *h, struct tls_kdf_bytes salt,
                     struct tls_kdf_bytes input, unsigned char *out)
{
    static const unsigned char bytes[TLS_KDF_HASH_MAX];
    const struct tls_kdf_bytes zeros = { bytes, h->size }, none = { NULL, 0 };
    return hmac(h, salt.at == NULL ? zeros : salt, input.at == NULL ? zeros : input, none, out);
}

/* ---- TLS 1.2 ---- */

bool tls_kdf_prf(const struct tls_kdf_hash *h, struct tls_kdf_bytes secret,
                 struct tls_kdf_bytes seed, unsigned char *out, size_t size)
{
    const struct tls_kdf_bytes none = { NULL, 0 };
    unsigned char a[TLS_KDF_HASH_MAX], block[TLS_KDF_HASH_MAX];
    const struct tls_kdf_bytes chain = { a, h->size };
    bool ok = hmac(h, secret, seed, none, a);
    for (size_t done = 0; ok && done < size; done += h->size) {
        size_t n = size - done < h->size ? size - done : h->size;
        ok = hmac(h, secret, chain, seed, block);
        if (ok)
            memcpy(out + done, block, n);
        if (ok && done + n < size)
            ok = hmac(h, secret, chain, none, a);
    }
    OPENSSL_cleanse(a, sizeof a);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}
