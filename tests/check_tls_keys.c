#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#include "suite.h"
#include "tls/tls_keys.h"
#include "tls_rig.h"

/* ---- two ends in one process, joined by memory ---- */

struct end {
    SSL_CTX *ctx;
    SSL *ssl;
    BIO *in;  /* what it reads */
    BIO *out; /* what it has written */
};

struct rig {
    struct end client;
    struct end server;
};

struct suite {
    int version;
    const char *cipher;
    enum tls_cipher expected;
};

static const struct suite suites[] = {
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", TLS_AES_128_GCM },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", TLS_AES_256_GCM },
    { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", TLS_CHACHA20_POLY1305 },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", TLS_AES_128_CCM },
    { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", TLS_AES_128_GCM },
    { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", TLS_AES_256_GCM },
    { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", TLS_CHACHA20_POLY1305 },
    { TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", TLS_AES_128_CCM },
};
#define SUITES ((int)(sizeof suites / sizeof suites[0]))

/* Rounds from SUITES on: as with a configuration of OpenSSL that allows its own providers only. */
static const struct suite *suite_of(int round)
{
    EVP_set_default_properties(NULL, round >= SUITES ? "provider=default" : "");
    return &suites[round % SUITES];
}

static SSL_CTX *context(const SSL_METHOD *method, const struct suite *suite)
{
    SSL_CTX *ctx = tls_keys_context(method);
    SSL_CTX_set_min_proto_version(ctx, suite->version);
    SSL_CTX_set_max_proto_version(ctx, suite->version);
    if (suite->version == TLS1_3_VERSION)
        ck_assert_int_eq(SSL_CTX_set_ciphersuites(ctx, suite->cipher), 1);
    else
        ck_assert_int_eq(SSL_CTX_set_cipher_list(ctx, suite->cipher), 1);
    SSL_CTX_set_security_level(ctx, 0);
    return ctx;
}

static void end_start(struct end *e)
{
    e->ssl = SSL_new(e->ctx);
    e->in = BIO_new(BIO_s_mem());
    e->out = BIO_new(BIO_s_mem());
    BIO_set_mem_eof_return(e->in, -1);
    SSL_set_bio(e->ssl, e->in, e->out);
}

static struct rig rig_make(const struct suite *suite)
{
    struct rig r = { .client.ctx = context(TLS_client_method(), suite),
                     .server.ctx = context(TLS_server_method(), suite) };
    tls_rig_use_certificate(r.server.ctx);
    return r;
}

static void carry(struct end *from, struct end *to)
{
    char *bytes;
    long n = BIO_get_mem_data(from->out, &bytes);
    if (n > 0)
        BIO_write(to->in, bytes, (int)n);
    (void)BIO_reset(from->out);
}

static void shake_hands(struct rig *r, SSL_SESSION *session)
{
    end_start(&r->client);
    end_start(&r->server);
    SSL_set_connect_state(r->client.ssl);
    SSL_set_accept_state(r->server.ssl);
    if (session != NULL)
        SSL_set_session(r->client.ssl, session);
    int client = 0, server = 0;
    for (int i = 0; i < 10 && (client != 1 || server != 1); i++) {
        client = tls_keys_handshake(r->client.ssl);
        carry(&r->client, &r->server);
        server = tls_keys_handshake(r->server.ssl);
        if (client != 1 || server != 1)
            carry(&r->server, &r->client);
    }
    ck_assert_int_eq(client, 1);
    ck_assert_int_eq(server, 1);
    tls_keys_handshake(r->server.ssl);
    carry(&r->server, &r->client); /* tickets, which the client has not read yet */
}

static struct rig rig_open(const struct suite *suite)
{
    struct rig r = rig_make(suite);
    shake_hands(&r, NULL);
    return r;
}

static void end_stop(struct end *e)
{
    SSL_free(e->ssl);
    e->ssl = NULL;
}

static void rig_close(struct rig *r)
{
    end_stop(&r->client);
    end_stop(&r->server);
    SSL_CTX_free(r->client.ctx);
    SSL_CTX_free(r->server.ctx);
}

/* ---- records, decrypted without OpenSSL's TLS ---- */

static const EVP_CIPHER *evp_cipher(uint8_t cipher)
{
    switch ((enum tls_cipher)cipher) {
    case TLS_AES_128_GCM:
        return EVP_aes_128_gcm();
    case TLS_AES_256_GCM:
        return EVP_aes_256_gcm();
    case TLS_AES_128_CCM:
        return EVP_aes_128_ccm();
    case TLS_CHACHA20_POLY1305:
        return EVP_chacha20_poly1305();
    case TLS_CIPHERS:
        break;
    }
    return NULL;
}

static bool is_aes_of_tls12(const struct tls_keys *keys)
{
    return keys->version == TLS1_2_VERSION && keys->cipher != TLS_CHACHA20_POLY1305;
}

static void put_sequence(unsigned char out[8], uint64_t n)
{
    for (int i = 0; i < 8; i++)
        out[i] = (unsigned char)(n >> (56 - 8 * i));
}

/* RFC 8446, 5.3; RFC 5288; RFC 7905 */
static void make_nonce(const struct tls_keys *keys, const unsigned char *explicit,
                       unsigned char nonce[TLS_IV_SIZE])
{
    unsigned char sequence[8];
    memcpy(nonce, keys->iv, TLS_IV_SIZE);
    put_sequence(sequence, keys->sequence);
    if (is_aes_of_tls12(keys))
        memcpy(nonce + 4, explicit, 8);
    else
        for (int i = 0; i < 8; i++)
            nonce[4 + i] ^= sequence[i];
}

/* Decrypts the record at *wire by the keys, and moves on. Returns the length of the plaintext, or
 * -1 if the keys are wrong. */
static int open_record(struct tls_keys *keys, const unsigned char **wire, unsigned char *plain)
{
    const unsigned char *header = *wire;
    int length = header[3] << 8 | header[4];
    const unsigned char *body = header + 5;
    *wire = body + length;
    unsigned char nonce[TLS_IV_SIZE], aad[13];
    make_nonce(keys, body, nonce);
    int skip = is_aes_of_tls12(keys) ? 8 : 0, n = length - skip - 16, got = 0, tail = 0;
    int aad_size = keys->version == TLS1_3_VERSION ? 5 : 13;
    if (aad_size == 5) {
        memcpy(aad, header, 5);
    } else {
        put_sequence(aad, keys->sequence);
        memcpy(aad + 8, header, 3);
        aad[11] = (unsigned char)(n >> 8);
        aad[12] = (unsigned char)n;
    }
    EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
    bool ccm = keys->cipher == TLS_AES_128_CCM;
    EVP_DecryptInit_ex(c, evp_cipher(keys->cipher), NULL, NULL, NULL);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_IVLEN, TLS_IV_SIZE, NULL);
    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_SET_TAG, 16, (void *)(body + skip + n));
    EVP_DecryptInit_ex(c, NULL, NULL, keys->key, nonce);
    if (ccm)
        EVP_DecryptUpdate(c, NULL, &got, NULL, n);
    EVP_DecryptUpdate(c, NULL, &got, aad, aad_size);
    bool ok = EVP_DecryptUpdate(c, plain, &got, body + skip, n) == 1;
    ok = ok && (ccm || EVP_DecryptFinal_ex(c, plain + got, &tail) == 1);
    EVP_CIPHER_CTX_free(c);
    keys->sequence++;
    return ok ? n - (keys->version == TLS1_3_VERSION ? 1 : 0) : -1;
}

static struct tls_keys keys_of(SSL *ssl, enum tls_direction direction)
{
    struct tls_keys keys[TLS_DIRECTIONS];
    ck_assert_int_eq(tls_keys_get(ssl, keys), 0);
    return keys[direction];
}

static void assert_equal_keys(const struct tls_keys *a, const struct tls_keys *b)
{
    ck_assert_uint_eq(a->version, b->version);
    ck_assert_uint_eq(a->cipher, b->cipher);
    ck_assert_uint_eq(a->sequence, b->sequence);
    ck_assert_mem_eq(a->key, b->key, TLS_KEY_MAX);
    ck_assert_mem_eq(a->iv, b->iv, TLS_IV_SIZE);
    ck_assert_mem_eq(a->secret.bytes, b->secret.bytes, TLS_SECRET_MAX);
}

/* Sends a few records, and decrypts them by the keys that both ends had before. */
static void assert_keys_fit(struct end *from, struct end *to)
{
    char text[3000];
    unsigned char plain[sizeof text + 1];
    memset(text, 'x', sizeof text);
    while (SSL_read(to->ssl, plain, sizeof plain) > 0) /* tickets */
        ;
    for (int round = 0; round < 3; round++) {
        struct tls_keys sends = keys_of(from->ssl, TLS_SEND);
        struct tls_keys receives = keys_of(to->ssl, TLS_RECEIVE);
        assert_equal_keys(&sends, &receives);
        for (int i = 0; i < 1 + round; i++)
            ck_assert_int_eq(SSL_write(from->ssl, text, 1000 * (1 + i)), 1000 * (1 + i));
        char *wire;
        long n = BIO_get_mem_data(from->out, &wire);
        const unsigned char *at = (unsigned char *)wire;
        for (int i = 0; i < 1 + round; i++) {
            const unsigned char *begin = at;
            ck_assert_int_eq(open_record(&sends, &at, plain), 1000 * (1 + i));
            ck_assert_mem_eq(plain, text, (size_t)(1000 * (1 + i)));
            ck_assert_uint_eq((size_t)(at - begin),
                              (size_t)(1000 * (1 + i)) +
                                  tls_cipher_overhead(sends.version, sends.cipher));
        }
        ck_assert_ptr_eq(at, wire + n);
        carry(from, to);
        for (int i = 0; i < 1 + round; i++)
            ck_assert_int_eq(SSL_read(to->ssl, plain, sizeof plain), 1000 * (1 + i));
    }
}

START_TEST(keys_decrypt_what_each_end_sends)
{
    const struct suite *suite = suite_of(_i);
    struct rig r = rig_open(suite);
    ck_assert_uint_eq(keys_of(r.client.ssl, TLS_SEND).cipher, suite->expected);
    assert_keys_fit(&r.client, &r.server);
    assert_keys_fit(&r.server, &r.client);
    rig_close(&r);
}
END_TEST

/* A resumed handshake of TLS 1.2 has Finished in the other order, one of TLS 1.3 has no
 * certificate. */
START_TEST(keys_decrypt_after_a_resumed_handshake)
{
    struct rig r = rig_open(suite_of(_i));
    char none;
    SSL_read(r.client.ssl, &none, 1);
    SSL_SESSION *session = SSL_get1_session(r.client.ssl);
    SSL_set_shutdown(r.client.ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    end_stop(&r.client);
    end_stop(&r.server);
    shake_hands(&r, session);
    ck_assert_int_eq(SSL_session_reused(r.client.ssl), 1);
    assert_keys_fit(&r.client, &r.server);
    assert_keys_fit(&r.server, &r.client);
    SSL_SESSION_free(session);
    rig_close(&r);
}
END_TEST

START_TEST(tickets_of_tls13_are_counted)
{
    struct rig r = rig_make(&suites[4]);
    SSL_CTX_set_num_tickets(r.server.ctx, 3);
    shake_hands(&r, NULL);
    char none;
    ck_assert_uint_eq(keys_of(r.server.ssl, TLS_SEND).sequence, 3);
    ck_assert_uint_eq(keys_of(r.client.ssl, TLS_RECEIVE).sequence, 0);
    SSL_read(r.client.ssl, &none, 1);
    ck_assert_uint_eq(keys_of(r.client.ssl, TLS_RECEIVE).sequence, 3);
    rig_close(&r);
}
END_TEST

/* The answer to a KeyUpdate is due with the next write. */
static void send_update(struct end *from, struct end *to)
{
    struct tls_keys keys[TLS_DIRECTIONS];
    char byte = 'x';
    ck_assert_int_eq(SSL_read(from->ssl, &byte, 1), -1);
    ck_assert_int_eq(tls_keys_get(from->ssl, keys), -EBUSY);
    ck_assert_int_eq(SSL_write(from->ssl, &byte, 1), 1);
    carry(from, to);
    ck_assert_int_eq(SSL_read(to->ssl, &byte, 1), 1);
}

/* In each direction: twice, and once with the answer that the other end must send. */
START_TEST(keys_follow_updates)
{
    struct rig r = rig_open(suite_of(_i));
    for (int round = 0; round < 3; round++) {
        int kind = round == 2 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        struct tls_keys before = keys_of(r.client.ssl, TLS_SEND);
        ck_assert_int_eq(SSL_key_update(r.client.ssl, kind), 1);
        ck_assert_int_eq(SSL_do_handshake(r.client.ssl), 1);
        carry(&r.client, &r.server);
        if (round == 2)
            send_update(&r.server, &r.client);
        assert_keys_fit(&r.client, &r.server);
        assert_keys_fit(&r.server, &r.client);
        ck_assert_int_eq(tls_keys_update(&before), 0);
        before.sequence = keys_of(r.client.ssl, TLS_SEND).sequence;
        struct tls_keys now = keys_of(r.client.ssl, TLS_SEND);
        assert_equal_keys(&before, &now);
    }
    rig_close(&r);
}
END_TEST

/* ---- known values ---- */

static void unhex(const char *hex, unsigned char *out)
{
    for (size_t i = 0; hex[2 * i] != '\0'; i++) {
        char two[3] = { hex[2 * i], hex[2 * i + 1], '\0' };
        out[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

/* RFC 8448, 3: client_application_traffic_secret_0 and server_application_traffic_secret_0. */
START_TEST(keys_are_those_of_rfc_8448)
{
    static const char *const rows[2][3] = {
        { "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5",
          "17422dda596ed5d9acd890e3c63f5051", "5b78923dee08579033e523d9" },
        { "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643",
          "9f02283b6c9c07efc26bb9f2ac92e356", "cf782b88dd83549aadf1e984" },
    };
    for (int i = 0; i < 2; i++) {
        unsigned char key[16], iv[TLS_IV_SIZE];
        struct tls_keys keys = { .version = TLS1_3_VERSION,
                                 .cipher = TLS_AES_128_GCM,
                                 .secret.length = 32 };
        unhex(rows[i][0], keys.secret.bytes);
        unhex(rows[i][1], key);
        unhex(rows[i][2], iv);
        ck_assert_int_eq(tls_keys_derive(&keys), 0);
        ck_assert_mem_eq(keys.key, key, sizeof key);
        ck_assert_mem_eq(keys.iv, iv, sizeof iv);
    }
}
END_TEST

/* ---- what the kernel cannot continue ---- */

static int refusal(const struct suite *suite)
{
    struct rig r = rig_open(suite);
    struct tls_keys keys[TLS_DIRECTIONS];
    int rc = tls_keys_get(r.server.ssl, keys);
    ck_assert_int_eq(tls_keys_get(r.client.ssl, keys), rc);
    rig_close(&r);
    return rc;
}

START_TEST(ciphers_that_the_kernel_lacks_are_refused)
{
    static const struct suite others[] = {
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA", 0 },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-SHA256", 0 },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM8", 0 },
        { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-CCM", 0 },
        { TLS1_3_VERSION, "TLS_AES_128_CCM_8_SHA256", 0 },
        { TLS1_1_VERSION, "ECDHE-ECDSA-AES128-SHA", 0 },
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        ck_assert_int_eq(refusal(&others[i]), -EOPNOTSUPP);
}
END_TEST

START_TEST(short_records_are_refused)
{
    struct rig r = rig_make(&suites[4]);
    struct tls_keys keys[TLS_DIRECTIONS];
    SSL_CTX_set_tlsext_max_fragment_length(r.client.ctx, TLSEXT_max_fragment_length_1024);
    shake_hands(&r, NULL);
    ck_assert_int_eq(tls_keys_get(r.server.ssl, keys), -EMSGSIZE);
    ck_assert_int_eq(tls_keys_get(r.client.ssl, keys), -EMSGSIZE);
    rig_close(&r);
}
END_TEST

START_TEST(unwatched_connections_have_no_keys)
{
    struct rig r = rig_open(&suites[4]);
    struct tls_keys keys[TLS_DIRECTIONS];
    tls_keys_unwatch(r.server.ssl);
    ck_assert_int_eq(tls_keys_get(r.server.ssl, keys), -ENOKEY);
    rig_close(&r);
    keys[0] = (struct tls_keys){ .version = TLS1_3_VERSION, .cipher = TLS_AES_128_GCM };
    ck_assert_int_eq(tls_keys_update(&keys[0]), -ENOKEY);
}
END_TEST

/* No connection of this process was watched. */
START_TEST(to_unwatch_one_that_was_not_watched_is_no_error)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    SSL *ssl = SSL_new(ctx);
    ERR_clear_error();
    tls_keys_unwatch(ssl);
    ck_assert_uint_eq(ERR_peek_error(), 0);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_keys");
    TCase *t = tcase_create("tls_keys");
    tcase_add_loop_test(t, keys_decrypt_what_each_end_sends, 0, 2 * SUITES);
    tcase_add_loop_test(t, keys_decrypt_after_a_resumed_handshake, 0, 2 * SUITES);
    tcase_add_test(t, tickets_of_tls13_are_counted);
    tcase_add_loop_test(t, keys_follow_updates, 4, SUITES);
    tcase_add_loop_test(t, keys_follow_updates, SUITES + 4, 2 * SUITES);
    tcase_add_test(t, keys_are_those_of_rfc_8448);
    tcase_add_test(t, ciphers_that_the_kernel_lacks_are_refused);
    tcase_add_test(t, short_records_are_refused);
    tcase_add_test(t, unwatched_connections_have_no_keys);
    tcase_add_test(t, to_unwatch_one_that_was_not_watched_is_no_error);
    suite_add_tcase(s, t);
    return suite_main(s);
}
