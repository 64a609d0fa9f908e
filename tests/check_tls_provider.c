#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tls/tls_provider.h"

#define OUT_MAX 300

static unsigned char bytes[2000]; /* of keys, seeds and the like */

/* What is asked for; -1: the parameter is missing. */
struct question {
    const char *name;
    const char *digest;
    int mode;
    int key, salt, label, data;
    int secret, seeds;
    size_t size;
};

static OSSL_PARAM octets(const char *name, int at, int size)
{
    return OSSL_PARAM_construct_octet_string(name, bytes + at, (size_t)size);
}

static size_t make_params(const struct question *q, int *mode, OSSL_PARAM p[16])
{
    size_t n = 0;
    *mode = q->mode;
    if (q->digest != NULL)
        p[n++] = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)q->digest, 0);
    if (q->mode != -1)
        p[n++] = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, mode);
    if (q->key != -1)
        p[n++] = octets(OSSL_KDF_PARAM_KEY, 0, q->key);
    if (q->salt != -1)
        p[n++] = octets(OSSL_KDF_PARAM_SALT, 1, q->salt);
    if (q->label != -1) {
        p[n++] = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_PREFIX, (char *)"tls13 ", 6);
        p[n++] = octets(OSSL_KDF_PARAM_LABEL, 2, q->label);
    }
    if (q->data != -1)
        p[n++] = octets(OSSL_KDF_PARAM_DATA, 3, q->data);
    if (q->secret != -1)
        p[n++] = octets(OSSL_KDF_PARAM_SECRET, 4, q->secret);
    for (int i = 0; i < q->seeds; i++)
        p[n++] = octets(OSSL_KDF_PARAM_SEED, 5 + i, i % 2 == 0 ? 32 : 0);
    p[n] = OSSL_PARAM_construct_end();
    return n;
}

static EVP_KDF_CTX *derivation(const char *name, const char *properties)
{
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, name, properties);
    ck_assert_ptr_nonnull(kdf);
    const char *provider = OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf));
    ck_assert_int_eq(strcmp(provider, "zproxy") == 0, properties != NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    EVP_KDF_free(kdf);
    return ctx;
}

static int answer(const struct question *q, bool own, unsigned char out[OUT_MAX])
{
    OSSL_PARAM params[16];
    int mode;
    EVP_KDF_CTX *ctx = derivation(q->name, own ? tls_provider_properties() : NULL);
    make_params(q, &mode, params);
    memset(out, 0, OUT_MAX);
    int rc = EVP_KDF_derive(ctx, out, q->size, params);
    EVP_KDF_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* Returns whether there is an answer. */
static bool assert_same(const struct question *q)
{
    unsigned char expected[OUT_MAX], out[OUT_MAX];
    int rc = answer(q, false, expected);
    ck_assert_int_eq(answer(q, true, out) > 0, rc > 0);
    if (rc > 0)
        ck_assert_mem_eq(out, expected, OUT_MAX);
    return rc > 0;
}

static const char *const digests[] = { "SHA2-256", "SHA256", "SHA2-384", "SHA384", "sha256",
                                       "SHA2-512", "MD5",    "none",     NULL };
#define DIGESTS ((int)(sizeof digests / sizeof digests[0]))

static void setup(void)
{
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)(i * 37 + i / 256);
    ck_assert_ptr_nonnull(tls_provider_properties());
}

/* ---- */

/* All modes, with parameters that a handshake has, and with missing, empty and very long ones. */
START_TEST(tls13_is_derived_as_by_openssl)
{
    static const int modes[] = { EVP_KDF_HKDF_MODE_EXPAND_ONLY, EVP_KDF_HKDF_MODE_EXTRACT_ONLY,
                                 EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, 7, -1 };
    static const int keys[] = { 32, 48, 1, 64, 200, 1500, -1 };
    static const int salts[] = { -1, 32, 48, 1500 };
    static const int labels[] = { 12, 2, 0, 249, 250, -1 };
    static const int data[] = { -1, 0, 32, 48, 255 };
    static const size_t sizes[] = { 32, 48, 16, 12, 1, 33, 100, 300 };
    int answers = 0;
    struct question q = { .name = "TLS13-KDF", .digest = digests[_i], .secret = -1 };
    for (size_t m = 0; m < 5; m++)
        for (size_t k = 0; k < 7; k++)
            for (size_t s = 0; s < 4; s++)
                for (size_t l = 0; l < 6; l++)
                    for (size_t d = 0; d < 5; d++)
                        for (size_t n = 0; n < 8; n++) {
                            q.mode = modes[m];
                            q.key = keys[k];
                            q.salt = salts[s];
                            q.label = labels[l];
                            q.data = data[d];
                            q.size = sizes[n];
                            answers += assert_same(&q);
                        }
    ck_assert_int_eq(answers > 0, _i < 7);
}
END_TEST

START_TEST(the_prf_of_tls12_is_that_of_openssl)
{
    static const int secrets[] = { 48, 32, 66, 1, 300, 1024, 0, -1 };
    static const size_t sizes[] = { 48, 12, 32, 33, 64, 88, 136, 1, 300 };
    int answers = 0;
    struct question q = { .name = "TLS1-PRF",
                          .digest = digests[_i],
                          .mode = -1,
                          .key = -1,
                          .salt = -1,
                          .label = -1,
                          .data = -1 };
    for (size_t s = 0; s < 8; s++)
        for (q.seeds = 0; q.seeds < 7; q.seeds++)
            for (size_t n = 0; n < 9; n++) {
                q.secret = secrets[s];
                q.size = sizes[n];
                answers += assert_same(&q);
            }
    ck_assert_int_eq(answers > 0, _i < 7);
}
END_TEST

/* Parameters may be set before, and a derivation may be used again. */
START_TEST(parameters_may_be_set_before)
{
    struct question q = { "TLS13-KDF", "SHA2-256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, -1, 7, 32, -1,
                          0,           32 };
    unsigned char expected[OUT_MAX], out[OUT_MAX] = { 0 };
    OSSL_PARAM params[16];
    int mode;
    answer(&q, false, expected);
    make_params(&q, &mode, params);
    EVP_KDF_CTX *ctx = derivation(q.name, tls_provider_properties());
    ck_assert_int_eq(EVP_KDF_CTX_set_params(ctx, params), 1);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(EVP_KDF_derive(ctx, out, q.size, i == 0 ? NULL : params), 1);
        ck_assert_mem_eq(out, expected, OUT_MAX);
    }
    EVP_KDF_CTX_reset(ctx);
    ck_assert_int_ne(EVP_KDF_derive(ctx, out, q.size, NULL), 1);
    ck_assert_int_eq(EVP_KDF_derive(ctx, out, q.size, params), 1);
    ck_assert_mem_eq(out, expected, OUT_MAX);
    EVP_KDF_CTX_free(ctx);
}
END_TEST

/* ---- notes ---- */

static void expand_key(const unsigned char *key, const char *label, unsigned char *out, size_t size)
{
    OSSL_PARAM params[16];
    int mode;
    struct question q = { "TLS13-KDF", "SHA2-256", EVP_KDF_HKDF_MODE_EXPAND_ONLY, 32, -1, 0, 32, -1,
                          0,           32 };
    make_params(&q, &mode, params);
    OSSL_PARAM *p = OSSL_PARAM_locate(params, OSSL_KDF_PARAM_LABEL);
    *p = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_LABEL, (char *)label, strlen(label));
    p = OSSL_PARAM_locate(params, OSSL_KDF_PARAM_KEY);
    *p = OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (unsigned char *)key, 32);
    EVP_KDF_CTX *ctx = derivation(q.name, tls_provider_properties());
    ck_assert_int_eq(EVP_KDF_derive(ctx, out, size, params), 1);
    EVP_KDF_CTX_free(ctx);
}

static void expand(const char *label, unsigned char out[32])
{
    expand_key(bytes, label, out, 32);
}

/* Only those that are derived from the noted secrets. */
START_TEST(keys_of_data_are_noted)
{
    struct tls_noted noted = { 0 };
    unsigned char client[32], server[32], key[2][32], iv[2][12], other[32];
    tls_provider_note(&noted);
    expand_key(bytes, "key", other, 16);
    expand("c ap traffic", client);
    expand_key(client, "key", key[0], 32);
    expand_key(client, "iv", iv[0], 12);
    expand("s ap traffic", server);
    expand_key(server, "key", key[1], 16);
    expand_key(server, "iv", iv[1], 12);
    expand_key(bytes, "key", other, 16);
    expand_key(client, "finished", other, 32);
    tls_provider_note(NULL);
    ck_assert_uint_eq(noted.client.key_size, 32);
    ck_assert_uint_eq(noted.server.key_size, 16);
    ck_assert_uint_eq(noted.client.iv_size + noted.server.iv_size, 24);
    ck_assert_mem_eq(noted.client.key, key[0], 32);
    ck_assert_mem_eq(noted.server.key, key[1], 16);
    ck_assert_mem_eq(noted.client.iv, iv[0], 12);
    ck_assert_mem_eq(noted.server.iv, iv[1], 12);
}
END_TEST

START_TEST(secrets_of_data_are_noted)
{
    static const char *const others[] = { "c hs traffic", "s hs traffic", "exp master",
                                          "res master",   "key",          "c ap traffi",
                                          "c ap traffic2" };
    struct tls_noted noted = { 0 };
    unsigned char client[32], server[32], other[32];
    tls_provider_note(&noted);
    expand("c ap traffic", client);
    expand("s ap traffic", server);
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        expand(others[i], other);
    tls_provider_note(NULL);
    expand("c ap traffic", other);
    ck_assert_uint_eq(noted.client.secret.length, 32);
    ck_assert_uint_eq(noted.server.secret.length, 32);
    ck_assert_mem_eq(noted.client.secret.bytes, client, 32);
    ck_assert_mem_eq(noted.server.secret.bytes, server, 32);
    ck_assert_uint_eq(noted.key_block_size, 0);
}
END_TEST

static void *expand_elsewhere(void *out)
{
    expand("c ap traffic", out);
    return NULL;
}

START_TEST(notes_are_of_one_thread)
{
    struct tls_noted noted = { 0 };
    unsigned char out[32];
    pthread_t thread;
    tls_provider_note(&noted);
    ck_assert_int_eq(pthread_create(&thread, NULL, expand_elsewhere, out), 0);
    ck_assert_int_eq(pthread_join(thread, NULL), 0);
    tls_provider_note(NULL);
    ck_assert_uint_eq(noted.client.secret.length, 0);
}
END_TEST

/* Its label is the first seed; only the begin of a long one is kept. */
START_TEST(a_key_block_is_noted)
{
    static const struct {
        const char *label;
        size_t size, noted;
    } rows[] = {
        { "key expansion", 40, 40 },
        { "key expansion", 136, TLS_KEY_BLOCK_MAX },
        { "master secret", 48, 0 },
        { "key", 48, 0 },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct tls_noted noted = { 0 };
        unsigned char out[OUT_MAX];
        const OSSL_PARAM params[] = {
            OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA2-384", 0),
            octets(OSSL_KDF_PARAM_SECRET, 0, 48),
            OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_SEED, (char *)rows[i].label,
                                              strlen(rows[i].label)),
            octets(OSSL_KDF_PARAM_SEED, 9, 32),
            OSSL_PARAM_construct_end(),
        };
        EVP_KDF_CTX *ctx = derivation("TLS1-PRF", tls_provider_properties());
        tls_provider_note(&noted);
        ck_assert_int_eq(EVP_KDF_derive(ctx, out, rows[i].size, params), 1);
        tls_provider_note(NULL);
        EVP_KDF_CTX_free(ctx);
        ck_assert_uint_eq(noted.key_block_size, rows[i].noted);
        ck_assert_mem_eq(noted.key_block, out, rows[i].noted);
        ck_assert_uint_eq(noted.client.secret.length + noted.server.secret.length, 0);
    }
}
END_TEST

/* ---- configured otherwise ---- */

START_TEST(other_providers_may_be_prescribed)
{
    ck_assert_ptr_nonnull(tls_provider_properties());
    EVP_set_default_properties(NULL, "provider=default");
    ck_assert_ptr_null(tls_provider_properties());
    EVP_set_default_properties(NULL, "");
    ck_assert_ptr_nonnull(tls_provider_properties());
}
END_TEST

/* Everything else still comes from where it came from before. */
START_TEST(other_providers_stay)
{
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA2-256", tls_provider_properties());
    ck_assert_ptr_nonnull(md);
    ck_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(md)), "default");
    EVP_MD_free(md);
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, "TLS13-KDF", NULL);
    ck_assert_ptr_nonnull(kdf);
    ck_assert_str_eq(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)), "default");
    EVP_KDF_free(kdf);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_provider");
    TCase *t = tcase_create("derivations");
    tcase_add_checked_fixture(t, setup, NULL);
    tcase_add_loop_test(t, tls13_is_derived_as_by_openssl, 0, DIGESTS);
    tcase_add_loop_test(t, the_prf_of_tls12_is_that_of_openssl, 0, DIGESTS);
    tcase_add_test(t, parameters_may_be_set_before);
    tcase_add_test(t, secrets_of_data_are_noted);
    tcase_add_test(t, keys_of_data_are_noted);
    tcase_add_test(t, notes_are_of_one_thread);
    tcase_add_test(t, a_key_block_is_noted);
    tcase_add_test(t, other_providers_stay);
    suite_add_tcase(s, t);
    TCase *prescribed = tcase_create("prescribed");
    tcase_add_test(prescribed, other_providers_may_be_prescribed);
    suite_add_tcase(s, prescribed);
    return suite_main(s);
}
