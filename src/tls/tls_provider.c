#include "tls/tls_provider.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <string.h>

#include "tls/tls_kdf.h"

#define PROVIDER "zproxy"

/* A property of its own, because "provider" in what is asked for would override what OpenSSL's
 * configuration says of it. Names without a dot are OpenSSL's (property(7)). */
#define PROPERTIES "zproxy.keys=yes"
#define PREFERRED  "?zproxy.keys=yes" /* where there is one */
#define OTHER      "zproxy.keys!=yes"

enum kind {
    TLS13, /* HKDF-Expand-Label; HKDF-Extract */
    PRF,   /* of TLS 1.2 */
    KINDS,
};

static const char *const names[KINDS] = { [TLS13] = "TLS13-KDF", [PRF] = "TLS1-PRF" };

/* What is asked for; of missing parameters `at` is NULL. */
struct derivation {
    const struct tls_kdf_hash *hash;
    int mode; /* TLS 1.3: EVP_KDF_HKDF_MODE_... */
    struct tls_kdf_bytes key;
    struct tls_kdf_bytes salt;
    struct tls_kdf_bytes label[2]; /* the prefix of all labels; the label */
    struct tls_kdf_bytes data;
    struct tls_kdf_bytes secret; /* TLS 1.2 */
    size_t seed_size;
    unsigned char seed[TLS_KDF_INFO_MAX];
};

static struct {
    pthread_once_t once;
    bool is_usable;
    OSSL_PROVIDER *provider; /* stays loaded */
    EVP_KDF *other[KINDS];   /* OpenSSL's own */
} library = { .once = PTHREAD_ONCE_INIT };

static _Thread_local struct tls_noted *noted;

/* ---- noted ---- */

void tls_provider_note(struct tls_noted *to)
{
    noted = to;
}

static bool is_text(struct tls_kdf_bytes bytes, const char *text)
{
    return bytes.size == strlen(text) && memcmp(bytes.at, text, bytes.size) == 0;
}

static void copy(unsigned char *to, uint8_t *to_size, size_t most, const unsigned char *out,
                 size_t size)
{
    if (size > most)
        return;
    memcpy(to, out, size);
    *to_size = (uint8_t)size;
}

/* Key and nonce follow their secret. */
static void note_of_end(struct tls_noted_end *end, const struct derivation *d,
                        const unsigned char *out, size_t size)
{
    if (end->secret.length == 0 || d->key.size != end->secret.length ||
        CRYPTO_memcmp(d->key.at, end->secret.bytes, d->key.size) != 0)
        return;
    if (is_text(d->label[1], "key"))
        copy(end->key, &end->key_size, sizeof end->key, out, size);
    else if (is_text(d->label[1], "iv"))
        copy(end->iv, &end->iv_size, sizeof end->iv, out, size);
}

static void note_tls13(const struct derivation *d, const unsigned char *out, size_t size)
{
    bool client = is_text(d->label[1], "c ap traffic");
    struct tls_noted_end *end = client ? &noted->client : &noted->server;
    if (client || is_text(d->label[1], "s ap traffic")) {
        copy(end->secret.bytes, &end->secret.length, TLS_SECRET_MAX, out, size);
        return;
    }
    note_of_end(&noted->client, d, out, size);
    note_of_end(&noted->server, d, out, size);
}

static void note_key_block(const struct derivation *d, const unsigned char *out, size_t size)
{
    static const char label[] = "key expansion";
    if (d->seed_size < sizeof label - 1 || memcmp(d->seed, label, sizeof label - 1) != 0)
        return;
    noted->key_block_size = (uint8_t)(size < TLS_KEY_BLOCK_MAX ? size : TLS_KEY_BLOCK_MAX);
    memcpy(noted->key_block, out, noted->key_block_size);
}

/* ---- what is asked for ---- */

static bool take_bytes(const OSSL_PARAM *p, struct tls_kdf_bytes *to)
{
    *to = (struct tls_kdf_bytes){ p->data, p->data_size };
    return p->data_type == OSSL_PARAM_OCTET_STRING && p->data_size <= TLS_KDF_INFO_MAX;
}

/* Seeds are put together, the label is the first one. */
static bool take_seed(const OSSL_PARAM *p, struct derivation *d)
{
    if (p->data_type != OSSL_PARAM_OCTET_STRING || p->data_size > sizeof d->seed - d->seed_size)
        return false;
    if (p->data_size > 0)
        memcpy(d->seed + d->seed_size, p->data, p->data_size);
    d->seed_size += p->data_size;
    return true;
}

static bool take_hash(const OSSL_PARAM *p, struct derivation *d)
{
    if (p->data_type == OSSL_PARAM_UTF8_STRING)
        d->hash = tls_kdf_hash_find(p->data);
    return d->hash != NULL;
}

static bool take_param(const OSSL_PARAM *p, struct derivation *d)
{
    if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) == 0)
        return take_hash(p, d);
    if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
        return p->data_type == OSSL_PARAM_INTEGER && OSSL_PARAM_get_int(p, &d->mode) == 1;
    if (strcmp(p->key, OSSL_KDF_PARAM_KEY) == 0)
        return take_bytes(p, &d->key);
    if (strcmp(p->key, OSSL_KDF_PARAM_SALT) == 0)
        return take_bytes(p, &d->salt);
    if (strcmp(p->key, OSSL_KDF_PARAM_PREFIX) == 0)
        return take_bytes(p, &d->label[0]);
    if (strcmp(p->key, OSSL_KDF_PARAM_LABEL) == 0)
        return take_bytes(p, &d->label[1]);
    if (strcmp(p->key, OSSL_KDF_PARAM_DATA) == 0)
        return take_bytes(p, &d->data);
    if (strcmp(p->key, OSSL_KDF_PARAM_SECRET) == 0)
        return take_bytes(p, &d->secret);
    return strcmp(p->key, OSSL_KDF_PARAM_SEED) == 0 && take_seed(p, d);
}

static bool take_params(const OSSL_PARAM *params, struct derivation *d)
{
    d->hash = NULL;
    d->mode = -1;
    d->key = d->salt = d->label[0] = d->label[1] = d->data = d->secret =
        (struct tls_kdf_bytes){ NULL, 0 };
    d->seed_size = 0;
    for (const OSSL_PARAM *p = params; p != NULL && p->key != NULL; p++)
        if (!take_param(p, d))
            return false;
    return d->hash != NULL;
}

/* ---- derived ---- */

/* Before it is extracted from, the secret before is replaced by one that is derived from it. */
static bool extract(const struct derivation *d, unsigned char *out)
{
    unsigned char derived[TLS_KDF_HASH_MAX];
    struct tls_kdf_bytes salt = { NULL, 0 };
    size_t size = tls_kdf_hash_size(d->hash);
    bool ok = true;
    if (d->salt.at != NULL) {
        salt = (struct tls_kdf_bytes){ derived, size };
        ok = tls_kdf_expand(d->hash, d->salt, d->label, tls_kdf_hash_of_nothing(d->hash), derived,
                            size);
    }
    ok = ok && tls_kdf_extract(d->hash, salt, d->key, out);
    OPENSSL_cleanse(derived, sizeof derived);
    return ok;
}

/* Each of these returns 1; 0: libcrypto failed; -1: a handshake does not ask for this. */

static int derive_tls13(const struct derivation *d, unsigned char *out, size_t size)
{
    size_t hash_size = tls_kdf_hash_size(d->hash);
    bool ok;
    if (d->label[0].at == NULL || d->label[1].at == NULL || d->secret.at != NULL ||
        d->seed_size > 0 || d->label[0].size + d->label[1].size > TLS_KDF_INFO_MAX)
        return -1;
    if (d->mode == EVP_KDF_HKDF_MODE_EXPAND_ONLY && d->key.size > 0 && size <= hash_size)
        ok = tls_kdf_expand(d->hash, d->key, d->label, d->data, out, size);
    else if (d->mode == EVP_KDF_HKDF_MODE_EXTRACT_ONLY && size == hash_size)
        ok = extract(d, out);
    else
        return -1;
    if (ok && noted != NULL)
        note_tls13(d, out, size);
    return ok;
}

static int derive_prf(const struct derivation *d, unsigned char *out, size_t size)
{
    const struct tls_kdf_bytes seed = { d->seed, d->seed_size };
    if (d->secret.size == 0 || seed.size == 0 || size == 0)
        return -1;
    bool ok = tls_kdf_prf(d->hash, d->secret, seed, out, size);
    if (ok && noted != NULL)
        note_key_block(d, out, size);
    return ok;
}

/* ---- as OpenSSL calls it ---- */

struct context {
    enum kind kind;
    EVP_KDF_CTX *other; /* NULL: as long as there is nothing unusual */
};

static struct context *context_new(enum kind kind)
{
    struct context *c = OPENSSL_zalloc(sizeof *c);
    if (c != NULL)
        c->kind = kind;
    return c;
}

static void *context_new_tls13(void *provider)
{
    (void)provider;
    return context_new(TLS13);
}

static void *context_new_prf(void *provider)
{
    (void)provider;
    return context_new(PRF);
}

static void context_reset(void *context)
{
    struct context *c = context;
    EVP_KDF_CTX_free(c->other);
    c->other = NULL;
}

static void context_free(void *context)
{
    if (context != NULL)
        context_reset(context);
    OPENSSL_free(context);
}

static bool has_other(struct context *c)
{
    if (c->other == NULL)
        c->other = EVP_KDF_CTX_new(library.other[c->kind]);
    return c->other != NULL;
}

static int context_set(void *context, const OSSL_PARAM params[])
{
    struct context *c = context;
    if (params == NULL || params->key == NULL)
        return 1;
    return has_other(c) && EVP_KDF_CTX_set_params(c->other, params) == 1;
}

static int context_derive(void *context, unsigned char *out, size_t size, const OSSL_PARAM params[])
{
    struct context *c = context;
    struct derivation d;
    int rc = -1;
    if (c->other == NULL && take_params(params, &d))
        rc = c->kind == TLS13 ? derive_tls13(&d, out, size) : derive_prf(&d, out, size);
    if (rc == -1)
        rc = has_other(c) && EVP_KDF_derive(c->other, out, size, params) == 1;
    return rc;
}

#define FUNCTION(id, function)         \
    {                                  \
        id, (void (*)(void))(function) \
    }
#define CONTEXT_FUNCTIONS                                                                        \
    FUNCTION(OSSL_FUNC_KDF_FREECTX, context_free), FUNCTION(OSSL_FUNC_KDF_RESET, context_reset), \
        FUNCTION(OSSL_FUNC_KDF_SET_CTX_PARAMS, context_set),                                     \
        FUNCTION(OSSL_FUNC_KDF_DERIVE, context_derive),                                          \
    {                                                                                            \
        0, NULL                                                                                  \
    }

static const OSSL_DISPATCH tls13_functions[] = {
    FUNCTION(OSSL_FUNC_KDF_NEWCTX, context_new_tls13),
    CONTEXT_FUNCTIONS,
};

static const OSSL_DISPATCH prf_functions[] = {
    FUNCTION(OSSL_FUNC_KDF_NEWCTX, context_new_prf),
    CONTEXT_FUNCTIONS,
};

static const OSSL_ALGORITHM algorithms[] = {
    { "TLS13-KDF", PROPERTIES, tls13_functions, NULL },
    { "TLS1-PRF", PROPERTIES, prf_functions, NULL },
    { NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *provider_query(void *provider, int operation, int *no_cache)
{
    (void)provider;
    *no_cache = 0;
    return operation == OSSL_OP_KDF ? algorithms : NULL;
}

static int provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in,
                         const OSSL_DISPATCH **out, void **provider)
{
    static const OSSL_DISPATCH provider_functions[] = {
        FUNCTION(OSSL_FUNC_PROVIDER_QUERY_OPERATION, provider_query),
        { 0, NULL },
    };
    (void)in;
    *out = provider_functions;
    *provider = (void *)handle;
    return 1;
}

/* ---- made ---- */

static bool is_ours(const EVP_KDF *kdf)
{
    return strcmp(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), PROVIDER) == 0;
}

/* Whether OpenSSL's configuration allows this derivation. */
static bool is_taken(enum kind kind)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, names[kind], PREFERRED);
    bool ours = kdf != NULL && is_ours(kdf);
    EVP_KDF_free(kdf);
    return ours;
}

static void prepare_library(void)
{
    bool ok = tls_kdf_hash_find("SHA2-256") != NULL &&
              OSSL_PROVIDER_add_builtin(NULL, PROVIDER, provider_init) == 1;
    library.provider = ok ? OSSL_PROVIDER_try_load(NULL, PROVIDER, 1) : NULL;
    ok = library.provider != NULL;
    for (int i = 0; i < KINDS && ok; i++) {
        library.other[i] = EVP_KDF_fetch(NULL, names[i], OTHER);
        ok = library.other[i] != NULL && !is_ours(library.other[i]);
    }
    library.is_usable = ok;
    ERR_clear_error();
}

const char *tls_provider_properties(void)
{
    pthread_once(&library.once, prepare_library);
    bool ok = library.is_usable;
    for (int i = 0; i < KINDS && ok; i++)
        ok = is_taken((enum kind)i);
    ERR_clear_error();
    return ok ? PREFERRED : NULL;
}
