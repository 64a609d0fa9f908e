#include "tls/tls_kdf.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* uint16 length; opaque label<7..255>; opaque context<0..255>; and the counter of HKDF-Expand */
#define LABEL_MAX (2 + 1 + TLS_KDF_INFO_MAX + 1 + TLS_KDF_INFO_MAX + 1)

struct tls_kdf_hash {
    const char *name;
    const char *alias;
    size_t size;
    unsigned char of_nothing[TLS_KDF_HASH_MAX];
};

static struct tls_kdf_hash hashes[] = {
    { .name = "SHA2-256", .alias = "SHA256", .size = 32 },
    { .name = "SHA2-384", .alias = "SHA384", .size = 48 },
};
#define HASHES (sizeof hashes / sizeof hashes[0])

/* HMACs of a thread, one for each hash. */
struct macs {
    EVP_MAC_CTX *mac[HASHES];
};

static struct {
    pthread_once_t once;
    bool is_usable;
    EVP_MAC *hmac;
    pthread_key_t macs;
} library = { .once = PTHREAD_ONCE_INIT };

/* ---- HMAC (RFC 2104) ---- */

static void macs_free(void *macs)
{
    struct macs *m = macs;
    for (size_t i = 0; i < HASHES; i++)
        EVP_MAC_CTX_free(m->mac[i]);
    free(m);
}

static bool mac_set_hash(EVP_MAC_CTX *mac, const struct tls_kdf_hash *h)
{
    const OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)h->name, 0),
        OSSL_PARAM_construct_end(),
    };
    return mac != NULL && EVP_MAC_CTX_set_params(mac, params) == 1;
}

static struct macs *macs_new(void)
{
    struct macs *m = calloc(1, sizeof *m);
    bool ok = m != NULL;
    for (size_t i = 0; i < HASHES && ok; i++) {
        m->mac[i] = EVP_MAC_CTX_new(library.hmac);
        ok = mac_set_hash(m->mac[i], &hashes[i]);
    }
    if (ok && pthread_setspecific(library.macs, m) == 0)
        return m;
    if (m != NULL)
        macs_free(m);
    return NULL;
}

/* The MAC of this thread; NULL: out of memory. */
static EVP_MAC_CTX *mac_of(const struct tls_kdf_hash *h)
{
    struct macs *m = pthread_getspecific(library.macs);
    if (m == NULL)
        m = macs_new();
    return m == NULL ? NULL : m->mac[h - hashes];
}

/* Of two parts of data. */
static bool hmac(EVP_MAC_CTX *mac, struct tls_kdf_bytes key, struct tls_kdf_bytes first,
                 struct tls_kdf_bytes second, unsigned char out[TLS_KDF_HASH_MAX])
{
    size_t n;
    return mac != NULL && EVP_MAC_init(mac, key.at, key.size, NULL) == 1 &&
           EVP_MAC_update(mac, first.at, first.size) == 1 &&
           (second.size == 0 || EVP_MAC_update(mac, second.at, second.size) == 1) &&
           EVP_MAC_final(mac, out, &n, TLS_KDF_HASH_MAX) == 1;
}

/* ---- prepared ---- */

static bool prepare_hash(struct tls_kdf_hash *h)
{
    EVP_MD *md = EVP_MD_fetch(NULL, h->name, NULL);
    bool ok = md != NULL && EVP_Digest("", 0, h->of_nothing, NULL, md, NULL) == 1;
    EVP_MD_free(md);
    return ok;
}

static void prepare_library(void)
{
    bool ok = pthread_key_create(&library.macs, macs_free) == 0;
    library.hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    for (size_t i = 0; i < HASHES; i++)
        ok = ok && prepare_hash(&hashes[i]);
    library.is_usable = ok && library.hmac != NULL;
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
    bool ok = hmac(mac_of(h), secret, all, none, block);
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
    return hmac(mac_of(h), salt.at == NULL ? zeros : salt, input.at == NULL ? zeros : input, none,
                out);
}

/* ---- TLS 1.2 ---- */

bool tls_kdf_prf(const struct tls_kdf_hash *h, struct tls_kdf_bytes secret,
                 struct tls_kdf_bytes seed, unsigned char *out, size_t size)
{
    const struct tls_kdf_bytes none = { NULL, 0 };
    unsigned char a[TLS_KDF_HASH_MAX], block[TLS_KDF_HASH_MAX];
    const struct tls_kdf_bytes chain = { a, h->size };
    EVP_MAC_CTX *mac = mac_of(h);
    bool ok = hmac(mac, secret, seed, none, a);
    for (size_t done = 0; ok && done < size; done += h->size) {
        size_t n = size - done < h->size ? size - done : h->size;
        ok = hmac(mac, secret, chain, seed, block);
        if (ok)
            memcpy(out + done, block, n);
        if (ok && done + n < size)
            ok = hmac(mac, secret, chain, none, a);
    }
    OPENSSL_cleanse(a, sizeof a);
    OPENSSL_cleanse(block, sizeof block);
    return ok;
}
