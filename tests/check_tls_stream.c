#include <errno.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "tls/tls_keys.h"
#include "tls/tls_stream.h"
#include "tls_rig.h"

/* Two streams over a pair of sockets. */
struct rig {
    SSL_CTX *server_ctx, *client_ctx;
    int fd[2];
    struct tls_stream *client, *server;
};

static const int versions[] = { TLS1_2_VERSION, TLS1_3_VERSION };

static struct rig rig_make(int version, const char *cipher)
{
    struct rig r = { .client_ctx = tls_rig_context(false, version),
                     .server_ctx = tls_rig_context(true, version) };
    SSL_CTX *ctx[] = { r.client_ctx, r.server_ctx };
    for (int i = 0; i < 2 && cipher != NULL; i++)
        ck_assert_int_eq(version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx[i], cipher)
                                                   : SSL_CTX_set_cipher_list(ctx[i], cipher),
                         1);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, r.fd), 0);
    r.client = tls_stream_new(r.client_ctx, r.fd[0], false);
    r.server = tls_stream_new(r.server_ctx, r.fd[1], true);
    ck_assert(r.client != NULL && r.server != NULL);
    return r;
}

/* The client stays with OpenSSL, which does not always agree with tls_record.h about what is right:
 * without its keys it cannot be continued in another way. */
static struct rig rig_open_with(int version, const char *cipher)
{
    struct rig r = rig_make(version, cipher);
    tls_rig_handshake(r.client, r.server);
    tls_keys_unwatch(tls_stream_ssl(r.client));
    tls_stream_stay(r.client);
    tls_stream_stay(r.server);
    return r;
}

static struct rig rig_open(int version)
{
    return rig_open_with(version, NULL);
}

static void rig_close(struct rig *r)
{
    tls_stream_free(r->client);
    tls_stream_free(r->server);
    SSL_CTX_free(r->client_ctx);
    SSL_CTX_free(r->server_ctx);
    for (int i = 0; i < 2; i++)
        if (r->fd[i] != -1)
            close(r->fd[i]);
}

static void must_read(struct tls_stream *s, const char *text)
{
    char data[64];
    ssize_t n = tls_stream_read(s, data, sizeof data);
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(data, text, strlen(text));
}

START_TEST(what_is_written_arrives_in_both_directions)
{
    struct rig r = rig_open(versions[_i]);
    char data[8];
    ck_assert_int_eq(tls_stream_write(r.client, "ping", 4), 0);
    must_read(r.server, "ping");
    ck_assert_int_eq(tls_stream_write(r.server, "pong", 4), 0);
    must_read(r.client, "pong");
    ck_assert_int_eq(tls_stream_read(r.client, data, sizeof data), -EAGAIN);
    ck_assert_uint_eq(tls_stream_version(r.client), _i == 0 ? TLS_1_2 : TLS_1_3);
    rig_close(&r);
}
END_TEST

/* The tickets of TLS 1.3 are still to be read then. */
START_TEST(a_connection_to_a_server_is_continued_without_openssl)
{
    struct rig r = rig_make(versions[_i], NULL);
    char data[8];
    tls_rig_handshake(r.client, r.server);
    tls_stream_stay(r.client);
    ck_assert_ptr_null(tls_stream_ssl(r.client));
    ck_assert_int_eq(tls_stream_write(r.client, "ping", 4), 0);
    must_read(r.server, "ping");
    ck_assert_int_eq(tls_stream_write(r.server, "pong", 4), 0);
    must_read(r.client, "pong");
    ck_assert_int_eq(tls_stream_read(r.client, data, sizeof data), -EAGAIN);
    if (versions[_i] == TLS1_3_VERSION) {
        ck_assert_int_eq(SSL_key_update(tls_stream_ssl(r.server), SSL_KEY_UPDATE_REQUESTED), 1);
        ck_assert_int_eq(tls_stream_write(r.server, "new", 3), 0);
        must_read(r.client, "new");
    } else {
        ck_assert_int_eq(SSL_renegotiate(tls_stream_ssl(r.server)), 1);
        (void)SSL_do_handshake(tls_stream_ssl(r.server)); /* HelloRequest, which is refused */
        ck_assert_int_eq(tls_stream_read(r.client, data, sizeof data), -EAGAIN);
    }
    ck_assert_int_eq(tls_stream_close(r.server), 0);
    ck_assert_int_eq(tls_stream_read(r.client, data, sizeof data), 0);
    rig_close(&r);
}
END_TEST

/* One end has finished the handshake and sends data before the other one has read Finished. In user
 * space without OpenSSL's records, and with them: its client, and a cipher that only OpenSSL has.
 */
START_TEST(data_behind_the_handshake_arrives)
{
    static const struct {
        int version;
        bool ahead;
        const char *cipher;
    } rows[] = {
        { TLS1_2_VERSION, false, NULL },
        { TLS1_2_VERSION, true, NULL },
        { TLS1_3_VERSION, false, NULL },
        { TLS1_3_VERSION, true, NULL },
        { TLS1_3_VERSION, true, "TLS_AES_128_CCM_SHA256" },
    };
    enum {
        SIZE = 10000
    };
    char sent[SIZE], got[SIZE + 1];
    size_t n = 0;
    ssize_t more;
    struct rig r = rig_make(rows[_i].version, rows[_i].cipher);
    struct tls_stream *early = rows[_i].version == TLS1_3_VERSION ? r.client : r.server;
    struct tls_stream *late = early == r.client ? r.server : r.client;
    for (int i = 0; i < SIZE; i++)
        sent[i] = (char)(i * 7 + i / 256);
    if (rows[_i].ahead)
        tls_stream_read_ahead(late);
    for (int i = 0; i < 4 && tls_stream_handshake(early) != 0; i++)
        ck_assert_int_eq(tls_stream_handshake(late), -EAGAIN);
    tls_stream_stay(early);
    ck_assert_int_eq(tls_stream_write(early, sent, SIZE), 0);
    ck_assert_int_eq(tls_stream_handshake(late), 0);
    ck_assert_int_eq(tls_stream_has_pending(late), rows[_i].ahead);
    tls_stream_stay(late);
    while ((more = tls_stream_read(late, got + n, sizeof got - n)) > 0)
        n += (size_t)more;
    ck_assert_int_eq(more, -EAGAIN);
    ck_assert_uint_eq(n, SIZE);
    ck_assert_mem_eq(got, sent, SIZE);
    ck_assert(!tls_stream_has_pending(late));
    ck_assert_int_eq(tls_stream_write(late, "pong", 4), 0);
    must_read(early, "pong");
    rig_close(&r);
}
END_TEST

/* Of a server, whose stream has no SSL any more, that is not known. */
START_TEST(a_record_that_has_come_is_known_before_the_stream_stays_in_user_space)
{
    struct rig r = rig_make(TLS1_3_VERSION, NULL);
    char data[8];
    tls_rig_handshake(r.client, r.server);
    ck_assert(!tls_stream_has_received(r.server));
    ck_assert_int_eq(tls_stream_write(r.client, "ping", 4), 0);
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), 4);
    ck_assert(tls_stream_has_received(r.server));
    tls_stream_stay(r.server);
    ck_assert(!tls_stream_has_received(r.server));
    rig_close(&r);
}
END_TEST

START_TEST(a_full_socket_keeps_a_rest)
{
    struct rig r = rig_open(versions[_i]);
    enum {
        SIZE = 64 * 1024,
        PIECES = 40
    };
    char *piece = malloc(SIZE), *got = malloc(SIZE);
    size_t written = 0, read = 0;
    memset(piece, 'x', SIZE);
    while (read < (size_t)SIZE * PIECES) {
        if (written < (size_t)SIZE * PIECES && tls_stream_flush(r.server) == 0) {
            ck_assert_int_eq(tls_stream_write(r.server, piece, SIZE), 0);
            written += SIZE;
            continue;
        }
        if (written < (size_t)SIZE * PIECES)
            ck_assert(tls_stream_has_rest(r.server));
        ssize_t n = tls_stream_read(r.client, got, SIZE);
        if (n == -EAGAIN) {
            (void)tls_stream_flush(r.server);
            continue;
        }
        ck_assert_int_gt(n, 0);
        assert_quietly(memcmp(got, piece, (size_t)n) == 0);
        read += (size_t)n;
    }
    ck_assert(!tls_stream_has_rest(r.server));
    free(piece);
    free(got);
    rig_close(&r);
}
END_TEST

START_TEST(close_notify_ends_one_direction)
{
    struct rig r = rig_open(versions[_i]);
    char data[8];
    ck_assert_int_eq(tls_stream_write(r.client, "last", 4), 0);
    ck_assert_int_eq(tls_stream_close(r.client), 0);
    ck_assert_int_eq(tls_stream_close(r.client), 0);
    must_read(r.server, "last");
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), 0);
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), 0);
    ck_assert_int_eq(tls_stream_write(r.server, "more", 4), 0);
    must_read(r.client, "more");
    rig_close(&r);
}
END_TEST

START_TEST(an_end_without_close_notify_is_told)
{
    struct rig r = rig_open(versions[_i]);
    char data[8];
    ck_assert_int_eq(tls_stream_write(r.client, "half", 4), 0);
    shutdown(r.fd[0], SHUT_WR);
    must_read(r.server, "half");
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), -ECONNABORTED);
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), -ECONNABORTED);
    rig_close(&r);
}
END_TEST

START_TEST(a_key_update_is_followed)
{
    struct rig r = rig_open(TLS1_3_VERSION);
    for (int i = 0; i < 100; i++) {
        assert_quietly(SSL_key_update(tls_stream_ssl(r.client), SSL_KEY_UPDATE_REQUESTED) == 1);
        assert_quietly(tls_stream_write(r.client, "ping", 4) == 0);
        must_read(r.server, "ping");
        assert_quietly(tls_stream_write(r.server, "pong", 4) == 0);
        must_read(r.client, "pong");
    }
    rig_close(&r);
}
END_TEST

/* A client that has the keys of its OpenSSL changes them as often as it likes, with one byte of
 * data each time: that costs the server much more than the client. */
static const struct {
    int version;
    const char *cipher;
} ciphers[] = {
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256" },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384" },
    { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305" },
    { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256" },
    { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384" },
    { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256" },
};
#define CIPHERS ((int)(sizeof ciphers / sizeof *ciphers))

static void pass_on(struct tls_stream *from, struct tls_stream *to, size_t size, unsigned seed)
{
    static unsigned char sent[40000], got[sizeof sent];
    size_t n = 0;
    for (size_t i = 0; i < size; i++)
        sent[i] = (unsigned char)(i * 7 + i / 251 + seed);
    assert_quietly(tls_stream_write(from, sent, size) == 0);
    for (int turn = 0; n < size && turn < 1000; turn++) {
        ssize_t part = tls_stream_read(to, got + n, size - n);
        assert_quietly(part > 0 || part == -EAGAIN);
        n += part > 0 ? (size_t)part : 0;
        assert_quietly(tls_stream_flush(from) == 0 || tls_stream_has_rest(from));
    }
    assert_quietly(n == size && memcmp(sent, got, size) == 0);
}

/* The server has records of its own, the client is OpenSSL. */
START_TEST(openssl_and_own_records_understand_each_other)
{
    struct rig r = rig_open_with(ciphers[_i].version, ciphers[_i].cipher);
    ck_assert_ptr_null(tls_stream_ssl(r.server));
    ck_assert_str_eq(tls_stream_cipher(r.client), ciphers[_i].cipher);
    for (unsigned round = 0; round < 300; round++) {
        int kind = round % 3 == 0 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        if (ciphers[_i].version == TLS1_3_VERSION && round % 5 < 2)
            assert_quietly(SSL_key_update(tls_stream_ssl(r.client), kind) == 1);
        pass_on(r.client, r.server, 1 + round * 131 % 39999, round);
        pass_on(r.server, r.client, 1 + round * 7919 % 39999, round);
    }
    rig_close(&r);
}
END_TEST

START_TEST(key_updates_need_data_that_pays_for_them)
{
    struct rig r = rig_open(TLS1_3_VERSION);
    size_t rounds = 0;
    char data[8];
    ssize_t n = 1;
    for (; n > 0 && rounds < 3000; rounds++) {
        SSL *client = tls_stream_ssl(r.client);
        assert_quietly(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        assert_quietly(tls_stream_write(r.client, "x", 1) == 0);
        n = tls_stream_read(r.server, data, sizeof data);
    }
    ck_assert_int_eq(n, -EPROTO);
    ck_assert_str_eq(tls_stream_why(r.server), "too many changes of keys");
    ck_assert_uint_gt(rounds, 1000);
    rig_close(&r);
}
END_TEST

START_TEST(key_updates_that_data_pays_for_have_no_end)
{
    struct rig r = rig_open(TLS1_3_VERSION);
    static char data[16384];
    for (size_t rounds = 0; rounds < 1500; rounds++) {
        SSL *client = tls_stream_ssl(r.client);
        assert_quietly(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        assert_quietly(tls_stream_write(r.client, data, sizeof data) == 0);
        assert_quietly(tls_stream_read(r.server, data, sizeof data) == sizeof data);
    }
    rig_close(&r);
}
END_TEST

START_TEST(a_storm_of_key_updates_ends_the_connection)
{
    struct rig r = rig_open(TLS1_3_VERSION);
    char data[8];
    ssize_t n = -EAGAIN;
    for (int i = 0; i < 1000 && n == -EAGAIN; i++) {
        SSL *client = tls_stream_ssl(r.client);
        assert_quietly(SSL_key_update(client, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
        assert_quietly(SSL_do_handshake(client) == 1);
        n = tls_stream_read(r.server, data, sizeof data);
    }
    ck_assert_int_eq(n, -EPROTO);
    ck_assert_str_eq(tls_stream_why(r.server), "too many messages without data");
    rig_close(&r);
}
END_TEST

/* ---- OpenSSL without memory ---- */

static long allocations_left = -1; /* -1: any number */

static bool may_allocate(void)
{
    if (allocations_left == 0)
        return false;
    allocations_left -= allocations_left > 0;
    return true;
}

static void *test_malloc(size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return may_allocate() ? malloc(size) : NULL;
}

static void *test_realloc(void *p, size_t size, const char *file, int line)
{
    (void)file, (void)line;
    return may_allocate() ? realloc(p, size) : NULL;
}

static void test_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    free(p);
}

/* The server's first step with so many allocations. Returns what the handshake returned. */
static int first_step(SSL_CTX *server_ctx, SSL_CTX *client_ctx, long allocations, char *why)
{
    int fd[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct tls_stream *client = tls_stream_new(client_ctx, fd[0], false);
    struct tls_stream *server = tls_stream_new(server_ctx, fd[1], true);
    assert_quietly(client != NULL && server != NULL);
    assert_quietly(tls_stream_handshake(client) == -EAGAIN);
    allocations_left = allocations;
    int rc = tls_stream_handshake(server);
    allocations_left = -1;
    snprintf(why, 256, "%s", tls_stream_why(server));
    tls_stream_free(client);
    tls_stream_free(server);
    close(fd[0]);
    close(fd[1]);
    return rc;
}

/* Each allocation fails once, and all behind it: -ENOMEM, so that the log has a shortage and not a
 * client that cannot speak TLS. OpenSSL does without some of them, and of some has only a general
 * error ("BUF lib"). */
START_TEST(no_memory_is_told_from_a_fault_of_the_peer)
{
    SSL_CTX *server_ctx = tls_rig_context(true, TLS1_3_VERSION);
    SSL_CTX *client_ctx = tls_rig_context(false, TLS1_3_VERSION);
    char why[256];
    int rc = -ENOMEM, told = 0, wrong = 0;
    tls_stream_note_names(server_ctx);
    ck_assert_int_eq(first_step(server_ctx, client_ctx, -1, why), -EAGAIN); /* loads algorithms */
    for (long n = 0; n < 5000 && rc != -EAGAIN; n++) {
        rc = first_step(server_ctx, client_ctx, n, why);
        told += rc == -ENOMEM;
        bool general = rc == -EPROTO && strstr(why, " lib") != NULL;
        wrong += rc != -ENOMEM && rc != -EAGAIN && !general;
    }
    ck_assert_int_eq(rc, -EAGAIN);
    ck_assert_int_gt(told, 20);
    ck_assert_int_eq(wrong, 0);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
}
END_TEST

START_TEST(nonsense_is_an_error_with_a_reason)
{
    struct rig r = rig_open(versions[_i]);
    char data[8];
    ck_assert_int_eq(send(r.fd[0], "\x17\x03\x03\0\x10nonsense nonsense", 21, 0), 21);
    ck_assert_int_eq(tls_stream_read(r.server, data, sizeof data), -EBADMSG);
    ck_assert_str_ne(tls_stream_why(r.server), "");
    rig_close(&r);
}
END_TEST

START_TEST(an_end_instead_of_a_message_of_the_handshake_is_an_error)
{
    static const unsigned char close_notify[] = { 21, 3, 3, 0, 2, 1, 0 };
    bool server = _i == 1;
    SSL_CTX *ctx = tls_rig_context(server, TLS1_2_VERSION);
    SSL_CTX *other_ctx = tls_rig_context(false, TLS1_2_VERSION);
    int fd[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    struct tls_stream *s = tls_stream_new(ctx, fd[0], server);
    struct tls_stream *other = tls_stream_new(other_ctx, fd[1], false);
    if (server)
        ck_assert_int_eq(tls_stream_handshake(other), -EAGAIN); /* its hello */
    ck_assert_int_eq(tls_stream_handshake(s), -EAGAIN);
    ck_assert_int_eq(send(fd[1], close_notify, sizeof close_notify, 0), sizeof close_notify);
    ck_assert_int_eq(tls_stream_handshake(s), -EPROTO);
    ck_assert_str_eq(tls_stream_why(s), "the peer ended the handshake");
    tls_stream_free(s);
    tls_stream_free(other);
    SSL_CTX_free(ctx);
    SSL_CTX_free(other_ctx);
    close(fd[0]);
    close(fd[1]);
}
END_TEST

START_TEST(records_arrive_in_pieces_and_are_read_in_pieces)
{
    struct rig r = rig_open(versions[_i]);
    static char sent[40000], got[sizeof sent];
    unsigned char wire[sizeof sent + 1000];
    size_t at = 0;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 >> 3);
    int fd[2], ends[2] = { r.fd[0], r.fd[1] };
    ck_assert_int_eq(tls_stream_write(r.client, sent, sizeof sent), 0);
    ssize_t all = recv(ends[1], wire, sizeof wire, 0); /* before the server reads it */
    ck_assert_int_gt(all, (ssize_t)sizeof sent);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    ck_assert_int_eq(dup2(fd[1], ends[1]), ends[1]);
    for (ssize_t i = 0; i < all; i += 1000) {
        size_t piece = all - i < 1000 ? (size_t)(all - i) : 1000;
        ck_assert_int_eq(send(fd[0], wire + i, piece, 0), (ssize_t)piece);
        ssize_t n = 0;
        while ((n = tls_stream_read(r.server, got + at, 777)) > 0)
            at += (size_t)n;
        ck_assert_int_eq(n, -EAGAIN);
    }
    ck_assert_uint_eq(at, sizeof sent);
    ck_assert_mem_eq(got, sent, sizeof sent);
    ck_assert(!tls_stream_has_pending(r.server));
    close(fd[0]);
    close(fd[1]);
    rig_close(&r);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tls_stream");
    TCase *t = tcase_create("streams");
    tcase_add_loop_test(t, what_is_written_arrives_in_both_directions, 0, 2);
    tcase_add_test(t, a_record_that_has_come_is_known_before_the_stream_stays_in_user_space);
    tcase_add_loop_test(t, a_connection_to_a_server_is_continued_without_openssl, 0, 2);
    tcase_add_loop_test(t, data_behind_the_handshake_arrives, 0, 5);
    tcase_add_loop_test(t, a_full_socket_keeps_a_rest, 0, 2);
    tcase_add_loop_test(t, close_notify_ends_one_direction, 0, 2);
    tcase_add_loop_test(t, an_end_without_close_notify_is_told, 0, 2);
    tcase_add_loop_test(t, nonsense_is_an_error_with_a_reason, 0, 2);
    tcase_add_loop_test(t, an_end_instead_of_a_message_of_the_handshake_is_an_error, 0, 2);
    tcase_add_loop_test(t, records_arrive_in_pieces_and_are_read_in_pieces, 0, 2);
    tcase_add_test(t, a_key_update_is_followed);
    tcase_add_loop_test(t, openssl_and_own_records_understand_each_other, 0, CIPHERS);
    tcase_add_test(t, no_memory_is_told_from_a_fault_of_the_peer);
    tcase_add_test(t, key_updates_need_data_that_pays_for_them);
    tcase_add_test(t, key_updates_that_data_pays_for_have_no_end);
    tcase_add_test(t, a_storm_of_key_updates_ends_the_connection);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    if (CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free) != 1)
        return EXIT_FAILURE;
    return suite_main(suite());
}
