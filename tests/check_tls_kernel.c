#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "tls/ktls_support.h"
#include "tls/tls_kernel.h"
#include "tls/tls_keys.h"
#include "tls_rig.h"

/* A connection whose near end is given to the kernel after the handshake, and whose far end stays
 * with OpenSSL. */
struct rig {
    SSL_CTX *near_ctx;
    SSL_CTX *far_ctx;
    SSL *near; /* NULL once the kernel has it */
    SSL *far;
    int near_fd;
    int far_fd;
    struct tls_kernel kernel;
};

struct kind {
    int version;
    const char *cipher;
    bool server; /* the near end */
};

static const struct kind kinds[] = {
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES256-GCM-SHA384", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-CCM", true },
    { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", true },
    { TLS1_3_VERSION, "TLS_AES_256_GCM_SHA384", true },
    { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", true },
    { TLS1_3_VERSION, "TLS_AES_128_CCM_SHA256", true },
    { TLS1_2_VERSION, "ECDHE-ECDSA-AES128-GCM-SHA256", false },
    { TLS1_2_VERSION, "ECDHE-ECDSA-CHACHA20-POLY1305", false },
    { TLS1_3_VERSION, "TLS_AES_128_GCM_SHA256", false },
    { TLS1_3_VERSION, "TLS_CHACHA20_POLY1305_SHA256", false },
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static struct rig r;

static SSL_CTX *context(bool server, const struct kind *kind)
{
    SSL_CTX *ctx = tls_keys_context(server ? TLS_server_method() : TLS_client_method());
    SSL_CTX_set_min_proto_version(ctx, kind->version);
    SSL_CTX_set_max_proto_version(ctx, kind->version);
    ck_assert_int_eq(kind->version == TLS1_3_VERSION ? SSL_CTX_set_ciphersuites(ctx, kind->cipher)
                                                     : SSL_CTX_set_cipher_list(ctx, kind->cipher),
                     1);
    if (server)
        tls_rig_use_certificate(ctx);
    return ctx;
}

static void connect_pair(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&at, &size);
    r.far_fd = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(r.far_fd, (struct sockaddr *)&at, sizeof at), 0);
    r.near_fd = accept(listening, NULL, NULL);
    close(listening);
}

static void *far_handshake(void *ssl)
{
    return SSL_do_handshake(ssl) == 1 ? ssl : NULL;
}

static void shake_hands(const struct kind *kind)
{
    pthread_t thread;
    void *ok = NULL;
    memset(&r, 0, sizeof r);
    connect_pair();
    r.near_ctx = context(kind->server, kind);
    r.far_ctx = context(!kind->server, kind);
    r.near = SSL_new(r.near_ctx);
    r.far = SSL_new(r.far_ctx);
    SSL_set_fd(r.near, r.near_fd);
    SSL_set_fd(r.far, r.far_fd);
    if (kind->server) {
        SSL_set_accept_state(r.near);
        SSL_set_connect_state(r.far);
    } else {
        SSL_set_connect_state(r.near);
        SSL_set_accept_state(r.far);
    }
    pthread_create(&thread, NULL, far_handshake, r.far);
    ck_assert_int_eq(tls_keys_handshake(r.near), 1);
    pthread_join(thread, &ok);
    ck_assert_ptr_nonnull(ok);
    fcntl(r.near_fd, F_SETFL, O_NONBLOCK);
}

static void give_to_kernel(uint64_t data)
{
    bool lost = true;
    ck_assert_int_eq(tls_kernel_take(&r.kernel, r.near, r.near_fd, data, &lost), 0);
    ck_assert(!lost);
    ck_assert_uint_ne(r.kernel.version, 0);
    SSL_free(r.near);
    r.near = NULL;
}

static void rig_open(const struct kind *kind)
{
    shake_hands(kind);
    give_to_kernel(0);
}

static void rig_close(void)
{
    SSL_free(r.near);
    SSL_free(r.far);
    SSL_CTX_free(r.near_ctx);
    SSL_CTX_free(r.far_ctx);
    close(r.near_fd);
    close(r.far_fd);
}

static void await(int fd)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
}

static void near_expects(const char *text)
{
    char got[64] = { 0 };
    for (size_t at = 0; at < strlen(text);) {
        await(r.near_fd);
        ssize_t n = recv(r.near_fd, got + at, sizeof got - 1 - at, MSG_DONTWAIT);
        if (n == -1 && errno == EIO)
            ck_assert_int_eq(tls_kernel_control(&r.kernel, r.near_fd), 0); /* a ticket */
        else if (n != -1 || errno != EAGAIN)
            ck_assert_int_gt(n, 0);
        at += n > 0 ? (size_t)n : 0;
    }
    ck_assert_str_eq(got, text);
}

/* The result of the next record that is not data. */
static int near_control(void)
{
    for (;;) {
        await(r.near_fd);
        int rc = tls_kernel_control(&r.kernel, r.near_fd);
        if (rc != -EAGAIN)
            return rc;
    }
}

static void far_expects(const char *text)
{
    char got[64] = { 0 };
    for (size_t at = 0; at < strlen(text);) {
        int n = SSL_read(r.far, got + at, (int)(sizeof got - 1 - at));
        ck_assert_int_gt(n, 0);
        at += (size_t)n;
    }
    ck_assert_str_eq(got, text);
}

static void exchange(void)
{
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(SSL_write(r.far, "from far", 8), 8);
        near_expects("from far");
        ck_assert_int_eq(send(r.near_fd, "from near", 9, 0), 9);
        far_expects("from near");
    }
}

START_TEST(the_kernel_continues_what_openssl_began)
{
    rig_open(&kinds[_i]);
    exchange();
    rig_close();
}
END_TEST

/* Data that came in one segment with Finished waits in the socket. */
START_TEST(it_continues_after_data_that_openssl_has_read_and_written)
{
    char got[16];
    shake_hands(&kinds[_i]);
    ck_assert_int_eq(SSL_write(r.far, "first", 5), 5);
    ck_assert_int_eq(SSL_write(r.far, "second", 6), 6);
    int n = -1;
    for (int i = 0; i < 100 && n == -1; i++) { /* tickets come before the data */
        await(r.near_fd);
        n = SSL_read(r.near, got, sizeof got);
    }
    ck_assert_int_eq(n, 5);
    ck_assert_int_eq(SSL_write(r.near, "reply", 5), 5);
    give_to_kernel(5);
    near_expects("second");
    far_expects("reply");
    exchange();
    ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, 5 + 3 * 9), 1);
    ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, 5 + 3 * 9 + 1), 0);
    rig_close();
}
END_TEST

START_TEST(close_notify_goes_both_ways)
{
    char none;
    rig_open(&kinds[_i]);
    exchange();
    ck_assert_int_eq(tls_kernel_close(&r.kernel, r.near_fd), 0);
    ck_assert_int_eq(tls_kernel_close(&r.kernel, r.near_fd), 0); /* it is sent once */
    ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, 3 * 9), 1);
    ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, 3 * 9 + 1), 0);
    shutdown(r.near_fd, SHUT_WR);
    ck_assert_int_eq(SSL_read(r.far, &none, 1), 0);
    ck_assert_int_eq(SSL_get_error(r.far, 0), SSL_ERROR_ZERO_RETURN);
    ck_assert_int_eq(SSL_write(r.far, "after", 5), 5);
    near_expects("after");
    SSL_shutdown(r.far);
    ck_assert_int_eq(near_control(), 1);
    ck_assert(r.kernel.close_received);
    rig_close();
}
END_TEST

/* With Linux 6.14 keys change in both directions; before, the session must end. */
START_TEST(key_updates_are_followed_where_the_kernel_can)
{
    rig_open(&kinds[_i]);
    exchange();
    for (int round = 0; round < 3; round++) {
        int kind = round == 1 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED;
        ck_assert_int_eq(SSL_key_update(r.far, kind), 1);
        ck_assert_int_eq(SSL_do_handshake(r.far), 1);
        if (!ktls_replaces_keys()) {
            int rc = near_control();
            ck_assert_int_eq(rc == 0 ? near_control() : rc, -EKEYEXPIRED);
            break;
        }
        int rc = near_control();
        ck_assert_int_eq(rc, 0);
        ck_assert(!r.kernel.update_due);
        exchange();
        uint64_t data = UINT64_C(27) * (uint64_t)(round + 2);
        ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, data), 1);
        ck_assert_int_eq(tls_kernel_is_flushed(&r.kernel, r.near_fd, data + 1), 0);
    }
    rig_close();
}
END_TEST

START_TEST(a_renegotiation_is_refused_and_data_goes_on)
{
    char none;
    rig_open(&kinds[_i]);
    exchange();
    SSL_set_options(r.far, SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    ck_assert_int_eq(SSL_renegotiate(r.far), 1);
    fcntl(r.far_fd, F_SETFL, O_NONBLOCK);
    SSL_do_handshake(r.far);
    ck_assert_int_eq(near_control(), 0);
    ck_assert_int_eq(send(r.near_fd, "x", 1, 0), 1);
    await(r.far_fd);
    ck_assert_int_le(SSL_read(r.far, &none, 1), 0); /* OpenSSL takes no_renegotiation as an error */
    rig_close();
}
END_TEST

START_TEST(a_connection_that_cannot_be_taken_stays_with_openssl)
{
    char got[16];
    shake_hands(&kinds[_i]);
    SSL_write(r.far, "last", 4);
    SSL_shutdown(r.far);
    shutdown(r.far_fd, SHUT_WR);
    struct pollfd p = { .fd = r.near_fd, .events = POLLRDHUP };
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    bool lost = true;
    ck_assert_int_eq(tls_kernel_take(&r.kernel, r.near, r.near_fd, 0, &lost), -ENOTCONN);
    ck_assert(!lost);
    ck_assert_uint_eq(r.kernel.version, 0);
    ck_assert_int_eq(SSL_read(r.near, got, sizeof got), 4);
    ck_assert_int_eq(SSL_read(r.near, got, sizeof got), 0);
    ck_assert_int_eq(SSL_get_error(r.near, 0), SSL_ERROR_ZERO_RETURN);
    ck_assert_int_eq(SSL_write(r.near, "reply", 5), 5);
    rig_close();
}
END_TEST

int main(void)
{
    ktls_support_update();
    if (!ktls_is_usable()) {
        printf("1..0 # SKIP this kernel cannot do TLS: %s\n", ktls_support()->error);
        return 0;
    }
    Suite *s = suite_create("tls_kernel");
    TCase *t = tcase_create("tls_kernel");
    tcase_add_loop_test(t, the_kernel_continues_what_openssl_began, 0, KINDS);
    tcase_add_loop_test(t, it_continues_after_data_that_openssl_has_read_and_written, 0, KINDS);
    tcase_add_loop_test(t, close_notify_goes_both_ways, 0, KINDS);
    tcase_add_loop_test(t, key_updates_are_followed_where_the_kernel_can, 4, 8);
    tcase_add_loop_test(t, key_updates_are_followed_where_the_kernel_can, 10, 12);
    tcase_add_loop_test(t, a_renegotiation_is_refused_and_data_goes_on, 0, 4);
    tcase_add_loop_test(t, a_connection_that_cannot_be_taken_stays_with_openssl, 0, KINDS);
    suite_add_tcase(s, t);
    return suite_main(s);
}
