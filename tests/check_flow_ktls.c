#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rig.h"
#include "suite.h"
#include "tls/ktls_support.h"
#include "tls/tls_side.h"

/* The far ends speak TLS by the kernel, too. */

static struct rig r;
static struct tls_side client_tls;
static struct tls_side server_tls;
static struct tls_control_reader far_reader;

static struct tls_keys make_keys(unsigned seed)
{
    struct tls_keys keys = { .version = TLS_1_3, .cipher = TLS_AES_128_GCM, .sequence = seed };
    memset(keys.key, (int)seed, sizeof keys.key);
    memset(keys.iv, (int)seed + 1, sizeof keys.iv);
    return keys;
}

static void give_keys(int fd, unsigned sends, unsigned receives)
{
    struct tls_keys out = make_keys(sends), in = make_keys(receives);
    ck_assert_int_eq(ktls_attach(fd), 0);
    ck_assert_int_eq(ktls_set_keys(fd, TLS_SEND, &out), 0);
    ck_assert_int_eq(ktls_set_keys(fd, TLS_RECEIVE, &in), 0);
}

static void speak_tls(struct side *sd, int far, struct tls_side *tls, bool server)
{
    uint64_t written = 0;
    ck_assert_int_eq(ktls_written(sd->fd, &written), 0);
    give_keys(far, 5, 60);
    give_keys(sd->fd, 60, 5);
    *tls = (struct tls_side){
        .kernel = { .server = server, .version = TLS_1_3, .cipher = TLS_AES_128_GCM }
    };
    tls->kernel.beside = written - 60 * tls_cipher_overhead(TLS_1_3, TLS_AES_128_GCM);
    sd->tls = tls;
    side_set_ktls(sd);
    far_reader = (struct tls_control_reader){ 0 };
}

enum {
    TLS_CLIENT = 1,
    TLS_SERVER = 2,
};

static void open_rig(int who)
{
    rig_open(&r, RIG_SPLICE);
    relay_stock_fini(&r.relay_stock);
    ck_assert_int_eq(relay_stock_init(&r.relay_stock, true, &r.quota, 512 * 1024), 0);
    if (who & TLS_CLIENT)
        speak_tls(&r.client_side, r.client, &client_tls, true);
    if (who & TLS_SERVER)
        speak_tls(&r.server_side, r.server, &server_tls, false);
}

static char *pattern(size_t len)
{
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 7 + i / 253);
    return data;
}

/* Reads a record that is not data, at a far end. */
static int far_control(int fd)
{
    char byte;
    struct pollfd p = { .fd = fd, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
    ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    ck_assert_int_eq(errno, EIO);
    return ktls_read_control(fd, &far_reader, TLS_1_3, fd == r.server);
}

/* Pumps until a flow fails, and returns the error. */
static int pump_until_failed(void)
{
    int rc = 0;
    for (int turn = 0; turn < 20000 && rc == 0; turn++)
        rc = rig_pump(&r);
    return rc;
}

START_TEST(data_passes_in_both_directions)
{
    open_rig(_i);
    for (int round = 0; round < 3; round++) {
        uint64_t before = r.up.bytes;
        rig_send(r.client, "question", 8);
        RIG_PUMP_UNTIL(&r, r.up.bytes == before + 8);
        rig_expect(r.server, "question", 8);
        rig_send(r.server, "answer!!", 8);
        RIG_PUMP_UNTIL(&r, r.down.bytes == before + 8);
        rig_expect(r.client, "answer!!", 8);
    }
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_SPLICE][RELAY_UP]), 24);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_SPLICE][RELAY_DOWN]), 24);
    rig_close(&r);
}
END_TEST

START_TEST(long_records_pass)
{
    size_t len = 150000;
    char *data = pattern(len);
    open_rig(_i);
    rig_send(r.client, data, len);
    RIG_PUMP_UNTIL(&r, r.up.bytes == len);
    rig_expect(r.server, data, len);
    rig_send(r.server, data, len);
    RIG_PUMP_UNTIL(&r, r.down.bytes == len);
    rig_expect(r.client, data, len);
    free(data);
    rig_close(&r);
}
END_TEST

/* To a plain side it is FIN, to one with TLS close_notify and FIN. */
START_TEST(close_notify_ends_the_stream)
{
    open_rig(_i);
    rig_send(r.client, "last", 4);
    ck_assert_int_eq(ktls_send_alert(r.client, false, TLS_ALERT_CLOSE_NOTIFY), 0);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    rig_expect(r.server, "last", 4);
    if (_i & TLS_SERVER)
        ck_assert_int_eq(far_control(r.server), TLS_CONTROL_CLOSE_NOTIFY);
    ck_assert_int_eq(r.down.state, FLOW_FILL);
    rig_send(r.server, "reply", 5);
    RIG_PUMP_UNTIL(&r, r.down.bytes == 5);
    rig_expect(r.client, "reply", 5);
    rig_close(&r);
}
END_TEST

START_TEST(fin_of_a_plain_side_becomes_close_notify)
{
    open_rig(TLS_SERVER);
    rig_send(r.client, "last", 4);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    rig_expect(r.server, "last", 4);
    ck_assert_int_eq(far_control(r.server), TLS_CONTROL_CLOSE_NOTIFY);
    rig_close(&r);
}
END_TEST

START_TEST(a_stream_that_was_cut_never_looks_complete)
{
    open_rig(_i);
    rig_send(r.client, "last", 4);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    if (_i & TLS_SERVER) {
        RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
        rig_expect(r.server, "last", 4);
        shutdown(r.server_side.fd, SHUT_WR);
        rig_expect_end(r.server); /* without an alert, which would be EIO */
    } else {
        ck_assert_int_eq(pump_until_failed(), -ECONNRESET);
        ck_assert(!r.up.sink_failed);
        rig_expect(r.server, "last", 4);
    }
    rig_close(&r);
}
END_TEST

START_TEST(records_beside_data_are_handled)
{
    open_rig(TLS_CLIENT);
    rig_send(r.client, "a", 1);
    ck_assert_int_eq(ktls_send_alert(r.client, false, TLS_ALERT_USER_CANCELED), 0);
    rig_send(r.client, "b", 1);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 2);
    rig_expect(r.server, "ab", 2);
    ck_assert_int_eq(ktls_send_alert(r.client, true, TLS_ALERT_INTERNAL_ERROR), 0);
    ck_assert_int_eq(pump_until_failed(), -EPROTO);
    rig_close(&r);
}
END_TEST

START_TEST(a_key_update_is_followed_or_ends_the_session)
{
    open_rig(TLS_CLIENT);
    ck_assert_int_eq(ktls_send_key_update(r.client), 0);
    ck_assert_int_eq(pump_until_failed(), -EKEYEXPIRED); /* there are no secrets */
    rig_close(&r);
}
END_TEST

START_TEST(a_record_that_was_changed_is_an_error)
{
    rig_open(&r, RIG_SPLICE);
    relay_stock_fini(&r.relay_stock);
    ck_assert_int_eq(relay_stock_init(&r.relay_stock, true, &r.quota, 512 * 1024), 0);
    static const char junk[] = "\x17\x03\x03\0\x18 0123456789 0123456789 ";
    give_keys(r.client_side.fd, 60, 5);
    client_tls = (struct tls_side){ .kernel = { .version = TLS_1_3 } };
    r.client_side.tls = &client_tls;
    side_set_ktls(&r.client_side);
    rig_send(r.client, junk, 29);
    ck_assert_int_eq(pump_until_failed(), -EBADMSG);
    rig_close(&r);
}
END_TEST

/* Without a pipe bytes are copied. */
START_TEST(without_pipes_it_is_copied)
{
    size_t len = 100000;
    char *data = pattern(len);
    open_rig(_i);
    r.quota.left = 0;
    rig_send(r.client, data, len);
    RIG_PUMP_UNTIL(&r, r.up.bytes == len);
    rig_expect(r.server, data, len);
    rig_send(r.server, data, len);
    ck_assert_int_eq(_i & TLS_SERVER ? ktls_send_alert(r.server, false, TLS_ALERT_CLOSE_NOTIFY)
                                     : shutdown(r.server, SHUT_WR),
                     0);
    RIG_PUMP_UNTIL(&r, r.down.state == FLOW_DONE);
    rig_expect(r.client, data, len);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_SPLICE][RELAY_UP]), 0);
    free(data);
    rig_close(&r);
}
END_TEST

/* The sink has the smallest buffer, and reads slowly: nothing is lost, and FIN comes after
 * everything. */
START_TEST(a_slow_reader_with_a_small_buffer_gets_everything)
{
    size_t len = 1000000, sent = 0, got = 0;
    char *data = pattern(len), piece[977];
    int small = 2048;
    bool finished = false;
    open_rig(_i);
    setsockopt(r.server_side.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    fcntl(r.client, F_SETFL, O_NONBLOCK);
    fcntl(r.server, F_SETFL, O_NONBLOCK);
    for (int turn = 0; turn < 200000; turn++) {
        ssize_t n = sent < len ? send(r.client, data + sent, len - sent, MSG_NOSIGNAL) : 0;
        if (n > 0 && (sent += (size_t)n) == len) {
            if (_i & TLS_CLIENT)
                ktls_send_alert(r.client, false, TLS_ALERT_CLOSE_NOTIFY);
            else
                shutdown(r.client, SHUT_WR);
        }
        ck_assert_int_eq(rig_pump(&r), 0);
        if (r.up.state == FLOW_DONE && !finished) {
            finished = true;
            shutdown(r.server_side.fd, SHUT_WR);
        }
        n = recv(r.server, piece, sizeof piece, 0);
        if (n == 0 || (n == -1 && errno == EIO))
            break;
        if (n > 0) {
            ck_assert_uint_le(got + (size_t)n, len);
            if (memcmp(piece, data + got, (size_t)n) != 0)
                ck_abort_msg("wrong bytes at %zu", got);
            got += (size_t)n;
        }
    }
    ck_assert_uint_eq(got, len);
    if (_i & TLS_SERVER)
        ck_assert_int_eq(far_control(r.server), TLS_CONTROL_CLOSE_NOTIFY);
    free(data);
    rig_close(&r);
}
END_TEST

/* Half a record makes no event and no data. */
START_TEST(half_a_record_waits)
{
    open_rig(TLS_CLIENT);
    rig_close(&r);
    rig_open(&r, RIG_SPLICE);
    give_keys(r.client_side.fd, 60, 5);
    client_tls = (struct tls_side){ .kernel = { .version = TLS_1_3 } };
    r.client_side.tls = &client_tls;
    side_set_ktls(&r.client_side);
    rig_send(r.client, "\x17\x03\x03\x01\0half", 9);
    rig_await(&r, &r.client_side, SIDE_WRITABLE);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(rig_pump(&r), 0);
    ck_assert_uint_eq(r.up.bytes, 0);
    ck_assert(!side_is(&r.client_side, SIDE_READABLE));
    rig_close(&r);
}
END_TEST

int main(void)
{
    ktls_support_update();
    if (!ktls_is_usable()) {
        printf("1..0 # SKIP this kernel cannot do TLS: %s\n", ktls_support()->error);
        return 0;
    }
    Suite *s = suite_create("flow_ktls");
    TCase *t = tcase_create("flow_ktls");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, data_passes_in_both_directions, 1, 4);
    tcase_add_loop_test(t, long_records_pass, 1, 4);
    tcase_add_test(t, fin_of_a_plain_side_becomes_close_notify);
    for (int who = TLS_CLIENT; who <= (TLS_CLIENT | TLS_SERVER); who += 2) {
        tcase_add_loop_test(t, close_notify_ends_the_stream, who, who + 1);
        tcase_add_loop_test(t, a_stream_that_was_cut_never_looks_complete, who, who + 1);
    }
    tcase_add_test(t, records_beside_data_are_handled);
    tcase_add_test(t, a_key_update_is_followed_or_ends_the_session);
    tcase_add_test(t, a_record_that_was_changed_is_an_error);
    tcase_add_loop_test(t, without_pipes_it_is_copied, 1, 4);
    tcase_add_loop_test(t, a_slow_reader_with_a_small_buffer_gets_everything, 1, 4);
    tcase_add_test(t, half_a_record_waits);
    suite_add_tcase(s, t);
    return suite_main(s);
}
