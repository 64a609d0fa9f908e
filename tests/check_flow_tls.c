#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "fake_ktls.h"
#include "rig.h"
#include "suite.h"
#include "tls/tls_side.h"
#include "tls_rig.h"

/* Flows between a side with TLS in user space and one that is plain, or whose TLS a kernel has that
 * encrypts nothing. */

static struct rig r;
static SSL_CTX *server_ctx, *client_ctx;
static struct tls_stream *far; /* of the side in user space */
static struct tls_side user;
static struct tls_side kernel;

enum who {
    USER_CLIENT, /* TLS of the client is in user space */
    USER_SERVER,
};

static struct side *user_side(enum who who)
{
    return who == USER_CLIENT ? &r.client_side : &r.server_side;
}

static struct side *other_side(enum who who)
{
    return who == USER_CLIENT ? &r.server_side : &r.client_side;
}

static int user_far(enum who who)
{
    return who == USER_CLIENT ? r.client : r.server;
}

/* Both ends of the connection in user space, after the handshake. */
static void open_pair(enum who who, int version)
{
    bool serves = who == USER_CLIENT;
    fake_ktls_begin();
    rig_open(&r, RIG_SPLICE);
    server_ctx = tls_rig_context(true, version);
    client_ctx = tls_rig_context(false, version);
    struct tls_stream *near =
        tls_stream_new(serves ? server_ctx : client_ctx, user_side(who)->fd, serves);
    far = tls_stream_new(serves ? client_ctx : server_ctx, user_far(who), !serves);
    tls_rig_handshake(serves ? far : near, serves ? near : far);
    tls_stream_stay(far);
    user = (struct tls_side){ .stream = near, .cipher = "" };
    user_side(who)->tls = &user;
    side_set(user_side(who), SIDE_TLS | SIDE_READABLE);
}

static void open_rig(enum who who, int version)
{
    open_pair(who, version);
    tls_stream_stay(user.stream);
}

static void give_other_to_kernel(enum who who)
{
    kernel = (struct tls_side){
        .kernel = { .version = TLS_1_3, .cipher = TLS_AES_128_GCM },
        .cipher = "",
    };
    other_side(who)->tls = &kernel;
    side_set_ktls(other_side(who));
}

static void close_rig(void)
{
    tls_stream_free(user.stream);
    buffer_free(&user.held);
    free(user.error);
    free(kernel.error);
    kernel.error = NULL;
    tls_stream_free(far);
    SSL_CTX_free(server_ctx);
    SSL_CTX_free(client_ctx);
    rig_close(&r);
}

static void far_expects(const char *text)
{
    char got[64];
    ssize_t n = -EAGAIN;
    for (int turn = 0; turn < 20000 && n == -EAGAIN; turn++) {
        ck_assert_int_eq(rig_pump(&r), 0);
        n = tls_stream_read(far, got, sizeof got);
    }
    ck_assert_int_eq(n, (ssize_t)strlen(text));
    ck_assert_mem_eq(got, text, strlen(text));
}

/* To the other side that is FIN without close_notify. Its own stream goes on. */
START_TEST(after_a_stream_was_cut_the_answer_of_a_side_in_the_kernel_arrives)
{
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    give_other_to_kernel(USER_CLIENT);
    ck_assert_int_eq(tls_stream_write(far, "request", 7), 0);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    rig_expect(r.server, "request", 7);
    ck_assert_int_eq(fake_ktls.sent, 0);
    ck_assert_str_eq(user.error, "the stream has ended without close_notify");
    rig_send(r.server, "answer", 6);
    far_expects("answer");
    ck_assert_int_eq(shutdown(r.server, SHUT_WR), 0);
    rig_await(&r, &r.server_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.down.state == FLOW_DONE);
    close_rig();
}
END_TEST

/* There it is a reset, for which the answer must not be read. */
START_TEST(after_a_stream_was_cut_the_answer_of_a_plain_side_is_not_read)
{
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    rig_send(r.server, "answer", 6);
    ck_assert_int_eq(rig_pump(&r), -ECONNRESET);
    ck_assert_uint_eq(r.down.bytes, 0);
    close_rig();
}
END_TEST

/* A server whose TLS is in the kernel sends data, and a record beside it, again and again. */
static void send_data_with_alerts(void)
{
    static const unsigned char canceled[] = { 1, TLS_ALERT_USER_CANCELED };
    for (int i = 0; i < 3 * TLS_CONTROL_MAX; i++) {
        uint64_t before = r.down.bytes;
        fake_ktls_receive(r.server_side.fd, FAKE_ALERT, canceled, sizeof canceled);
        rig_send(r.server, "data", 4);
        RIG_PUMP_UNTIL(&r, r.down.bytes == before + 4);
        ck_assert_uint_eq(fake_ktls.size, 0); /* it was read */
    }
}

START_TEST(records_between_data_are_not_too_many_for_a_sink_in_user_space)
{
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    give_other_to_kernel(USER_CLIENT);
    send_data_with_alerts();
    close_rig();
}
END_TEST

START_TEST(records_between_data_are_not_too_many_for_a_plain_sink_without_pipes)
{
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    give_other_to_kernel(USER_CLIENT);
    side_clear(&r.client_side, SIDE_TLS);
    r.client_side.tls = NULL;
    r.quota.left = 0;
    send_data_with_alerts();
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_COPY][RELAY_DOWN]), r.down.bytes);
    close_rig();
}
END_TEST

/* To a sink in user space; to a plain one, through a pipe and without. */
START_TEST(data_between_the_parts_of_a_message_is_not_passed_on)
{
    static const unsigned char part[] = { TLS_KEY_UPDATE, 0 };
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    give_other_to_kernel(USER_CLIENT);
    if (_i > 0) {
        side_clear(&r.client_side, SIDE_TLS);
        r.client_side.tls = NULL;
    }
    if (_i > 1)
        r.quota.left = 0;
    fake_ktls_receive(r.server_side.fd, FAKE_HANDSHAKE, part, sizeof part);
    ck_assert_int_eq(tls_kernel_control(&kernel.kernel, r.server_side.fd), 0);
    rig_send(r.server, "data", 4);
    rig_await(&r, &r.server_side, SIDE_READABLE);
    ck_assert_int_eq(rig_pump(&r), -EPROTO);
    ck_assert_uint_eq(r.down.bytes, 0);
    ck_assert_int_eq(fake_ktls.sent_type, FAKE_ALERT);
    ck_assert_int_eq(gauge_get(&r.relay_stock.pipes.used_count), 0);
    close_rig();
}
END_TEST

/* There is no second event for what has come. */
START_TEST(a_read_that_was_interrupted_is_repeated)
{
    bool serves = _i == 0;
    open_rig(serves ? USER_CLIENT : USER_SERVER, TLS1_3_VERSION);
    const struct flow *f = serves ? &r.up : &r.down;
    for (int round = 0; round < 3; round++) {
        uint64_t before = f->bytes;
        ck_assert_int_eq(tls_stream_write(far, "data", 4), 0);
        rig_await(&r, serves ? &r.client_side : &r.server_side, SIDE_READABLE);
        fake_ktls.eintr = 1;
        RIG_PUMP_UNTIL(&r, f->bytes == before + 4);
        ck_assert_int_eq(fake_ktls.eintr, 0);
        rig_expect(serves ? r.server : r.client, "data", 4);
    }
    close_rig();
}
END_TEST

/* The bytes that a sink in the kernel has no room for. */
START_TEST(what_a_sink_in_the_kernel_does_not_take_comes_later)
{
    static char sent[400000], got[sizeof sent];
    size_t have = 0, written = 0;
    int small = 4608;
    for (size_t i = 0; i < sizeof sent; i++)
        sent[i] = (char)(i * 7 >> 3);
    open_rig(USER_CLIENT, TLS1_3_VERSION);
    give_other_to_kernel(USER_CLIENT);
    setsockopt(r.server_side.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    bool was_held = false;
    for (int turn = 0; turn < 20000 && have < sizeof sent; turn++) {
        size_t piece = sizeof sent - written < 40000 ? sizeof sent - written : 40000;
        if (piece > 0 && tls_stream_flush(far) == 0) {
            ck_assert_int_eq(tls_stream_write(far, sent + written, piece), 0);
            written += piece;
        }
        ck_assert_int_eq(rig_pump(&r), 0);
        was_held = was_held || r.up.state == FLOW_DRAIN;
        ssize_t n = recv(r.server, got + have, 3000, MSG_DONTWAIT);
        have += n > 0 ? (size_t)n : 0;
    }
    ck_assert(was_held);
    ck_assert_uint_eq(have, sizeof sent);
    ck_assert_mem_eq(got, sent, sizeof sent);
    ck_assert_uint_eq(r.up.bytes, sizeof sent);
    ck_assert_uint_ge(kernel.kernel.uncounted, sizeof sent / 16384); /* for the key's limit */
    close_rig();
}
END_TEST

/* The kernel refuses the second keys: the connection cannot go back. */
START_TEST(a_connection_of_which_the_kernel_has_one_direction_is_lost)
{
    open_pair(USER_CLIENT, TLS1_3_VERSION);
    fake_ktls.refuse = 2;
    fake_ktls.error = ENOMEM;
    ck_assert_int_eq(tls_side_enter_kernel(&user, r.client_side.fd, 0), -EIO);
    ck_assert_str_eq(user.error,
                     "the kernel has taken one direction of TLS only: cannot allocate memory");
    close_rig();
}
END_TEST

START_TEST(a_connection_that_the_kernel_refuses_stays_in_user_space)
{
    open_pair(USER_CLIENT, TLS1_3_VERSION);
    fake_ktls.refuse = 1;
    fake_ktls.error = EINVAL;
    ck_assert_int_eq(tls_side_enter_kernel(&user, r.client_side.fd, 0), -EINVAL);
    ck_assert_ptr_null(user.error);
    ck_assert_ptr_nonnull(user.stream);
    ck_assert_int_eq(tls_side_enter_kernel(&user, r.client_side.fd, 0), 0);
    ck_assert_ptr_null(user.stream);
    close_rig();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("flow_tls");
    TCase *t = tcase_create("flow_tls");
    tcase_add_test(t, after_a_stream_was_cut_the_answer_of_a_side_in_the_kernel_arrives);
    tcase_add_test(t, after_a_stream_was_cut_the_answer_of_a_plain_side_is_not_read);
    tcase_add_test(t, records_between_data_are_not_too_many_for_a_sink_in_user_space);
    tcase_add_test(t, records_between_data_are_not_too_many_for_a_plain_sink_without_pipes);
    tcase_add_loop_test(t, data_between_the_parts_of_a_message_is_not_passed_on, 0, 3);
    tcase_add_test(t, a_connection_of_which_the_kernel_has_one_direction_is_lost);
    tcase_add_test(t, a_connection_that_the_kernel_refuses_stays_in_user_space);
    tcase_add_loop_test(t, a_read_that_was_interrupted_is_repeated, 0, 2);
    tcase_add_test(t, what_a_sink_in_the_kernel_does_not_take_comes_later);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
