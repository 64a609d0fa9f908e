/* Each promise is kept by splice and by copy: tests run once for each kind (_i). */
#include <check.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "build.h"
#include "relay/sock.h"
#include "rig.h"
#include "suite.h"

static struct rig r;

static void no_delay(int fd)
{
    int on = 1;
    ck_assert_int_eq(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

static char *pattern(size_t len)
{
    char *p = malloc(len);
    ck_assert_ptr_nonnull(p);
    uint32_t x = 12345;
    for (size_t i = 0; i < len; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)(x >> 24);
    }
    return p;
}

START_TEST(bytes_arrive_both_ways)
{
    rig_open(&r, (enum rig_kind)_i);
    rig_send(r.client, "request", 7);
    rig_send(r.server, "reply", 5);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 7 && r.down.bytes == 5);
    rig_expect(r.server, "request", 7);
    rig_expect(r.client, "reply", 5);
    ck_assert_uint_eq(r.up.bytes, 7);
    ck_assert_uint_eq(r.down.bytes, 5);
    rig_close(&r);
}
END_TEST

START_TEST(the_path_taken_is_counted)
{
    rig_open(&r, (enum rig_kind)_i);
    bool splice = _i == RIG_SPLICE && relay_stock_can_splice();
    rig_send(r.client, "0123456789", 10);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 10);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_SPLICE][RELAY_UP]), splice ? 10 : 0);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_COPY][RELAY_UP]), splice ? 0 : 10);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_COPY][RELAY_DOWN]), 0);
    rig_close(&r);
}
END_TEST

START_TEST(half_close_keeps_the_reply_flowing)
{
    rig_open(&r, (enum rig_kind)_i);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    ck_assert_int_eq(r.down.state, FLOW_FILL);
    rig_send(r.server, "reply", 5);
    RIG_PUMP_UNTIL(&r, r.down.bytes == 5);
    rig_expect(r.client, "reply", 5);
    rig_close(&r);
}
END_TEST

START_TEST(the_end_comes_after_the_last_byte)
{
    rig_open(&r, (enum rig_kind)_i);
    size_t len = 50000;
    char *data = pattern(len);
    rig_send(r.client, data, len);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    ck_assert_uint_eq(r.up.bytes, len);
    rig_expect(r.server, data, len);
    free(data);
    rig_close(&r);
}
END_TEST

static void set_size(int fd, int option, int bytes)
{
    ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof bytes), 0);
}

static void make_small(struct rig *rig)
{
    set_size(rig->client, SO_SNDBUF, 16384);
    set_size(rig->client_side.fd, SO_RCVBUF, 16384);
    set_size(rig->server_side.fd, SO_SNDBUF, 16384);
    set_size(rig->server, SO_RCVBUF, 16384);
}

/* Until some can be read, or the flow may have to be pumped again. */
static void await_bytes(int fd)
{
    struct pollfd fds = { .fd = fd, .events = POLLIN };
    poll(&fds, 1, 10);
}

/* Bytes that a socket's peer has not acknowledged, or not sent yet. */
static int unsent(int fd)
{
    int bytes = 0;
    ck_assert_int_eq(ioctl(fd, SIOCOUTQ, &bytes), 0);
    return bytes;
}

/* Whether nothing can move before the server reads: the flow waits for its sink, and neither socket
 * has got rid of a byte for so long that TCP is not just pausing (with tiny buffers it probes the
 * window by timers, of 200 ms and more). */
static bool is_stalled(struct rig *rig)
{
    const int queued = unsent(rig->client) + unsent(rig->server_side.fd);
    struct pollfd fds = { .fd = rig->client, .events = POLLOUT };
    for (int i = 0; i < 10; i++) {
        if (poll(&fds, 1, 100) > 0 || unsent(rig->client) + unsent(rig->server_side.fd) != queued)
            return false;
        ck_assert_int_eq(rig_pump(rig), 0);
        if (side_is(&rig->server_side, SIDE_WRITABLE))
            return false;
    }
    return true;
}

/* Sends until nothing moves any more. Returns the number of bytes. */
static size_t send_until_stalled(struct rig *rig, const char *data, size_t len)
{
    size_t sent = 0;
    while (sent < len) {
        ssize_t n = send(rig->client, data + sent, len - sent, MSG_DONTWAIT);
        sent += n > 0 ? (size_t)n : 0;
        ck_assert_int_eq(rig_pump(rig), 0);
        if (n <= 0 && is_stalled(rig))
            break;
    }
    return sent;
}

/* Sends the rest while the server reads all of it. */
static void send_and_read_all(struct rig *rig, const char *data, size_t sent, size_t len)
{
    char *in = malloc(len);
    ck_assert_ptr_nonnull(in);
    for (size_t got = 0; got < len;) {
        ssize_t n = recv(rig->server, in + got, len - got, MSG_DONTWAIT);
        bool moved = n > 0;
        got += n > 0 ? (size_t)n : 0;
        n = sent < len ? send(rig->client, data + sent, len - sent, MSG_DONTWAIT) : 0;
        sent += n > 0 ? (size_t)n : 0;
        ck_assert_int_eq(rig_pump(rig), 0);
        if (!moved && n <= 0)
            await_bytes(rig->server);
    }
    ck_assert_mem_eq(in, data, len);
    free(in);
}

#define STALL_BYTES (1024 * 1024)

static void stall(struct rig *rig, const char *data, size_t *sent)
{
    make_small(rig);
    *sent = send_until_stalled(rig, data, STALL_BYTES);
    ck_assert_uint_lt(*sent, STALL_BYTES); /* not all fits in sockets and a pipe */
    ck_assert(!side_is(&rig->server_side, SIDE_WRITABLE));
}

START_TEST(a_stalled_sink_holds_the_source_and_loses_nothing)
{
    size_t sent;
    char *data = pattern(STALL_BYTES);
    rig_open(&r, (enum rig_kind)_i);
    stall(&r, data, &sent);
    send_and_read_all(&r, data, sent, STALL_BYTES);
    ck_assert_ptr_null(r.up.pipe);
    free(data);
    rig_close(&r);
}
END_TEST

START_TEST(no_pipe_is_held_while_nothing_is_in_flight)
{
    rig_open(&r, (enum rig_kind)_i);
    rig_send(r.client, "x", 1);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 1);
    ck_assert_ptr_null(r.up.pipe);
    ck_assert_uint_eq(gauge_get(&r.relay_stock.pipes.used_count), 0);
    rig_close(&r);
}
END_TEST

/* Fewer bytes than slots prove an empty socket; as many, or more, do not: a pipe of 16 slots is
 * full with 16 segments of one byte. */
START_TEST(segments_of_one_byte_fill_the_pipe_and_all_arrive)
{
    rig_open(&r, (enum rig_kind)_i);
    no_delay(r.client);
    char *data = pattern(5000);
    for (int i = 0; i < 5000; i++)
        rig_send(r.client, data + i, 1);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 5000);
    rig_expect(r.server, data, 5000);
    free(data);
    rig_close(&r);
}
END_TEST

#ifdef ZPROXY_SPLICE
START_TEST(a_right_guess_needs_no_other_proof)
{
    char *data = pattern(1000);
    rig_open(&r, RIG_SPLICE);
    if (r.relay_stock.splice) {
        rig_send(r.client, data, 1000); /* more bytes than slots, one fragment */
        ck_assert_int_eq(rig_pump_on_events(&r), 0);
        rig_expect(r.server, data, 1000);
        ck_assert(side_is(&r.client_side, SIDE_GUESSED));
        ck_assert(!rig_confirm(&r));
        ck_assert(!side_is(&r.client_side, SIDE_GUESSED));
        ck_assert(!r.up.misguessed);
    }
    free(data);
    rig_close(&r);
}
END_TEST

START_TEST(a_guess_is_doubted_before_it_costs_a_call)
{
    char *data = pattern(1000);
    rig_open(&r, RIG_SPLICE);
    for (int i = 0; i < 3 && r.relay_stock.splice; i++) {
        rig_send(r.client, data, 1000);
        ck_assert_int_eq(rig_pump_on_events(&r), 0);
        rig_expect(r.server, data, 1000);
        ck_assert(side_is(&r.client_side, SIDE_GUESSED));
        ck_assert(!side_is(&r.client_side, SIDE_DOUBTED)); /* a new message, a new guess */
        ck_assert(!flow_confirm(&r.up, &r.client_side));
        ck_assert(side_is(&r.client_side, SIDE_DOUBTED));
    }
    free(data);
    rig_close(&r);
}
END_TEST

/* Segments that two sockets send alternately are not adjacent in memory: each takes a slot. */
static void send_scattered(struct rig *rig, const char *data, size_t pieces, size_t len)
{
    no_delay(rig->client);
    no_delay(rig->server);
    for (size_t i = 0; i < pieces; i++) {
        rig_send(rig->client, data + i * len, len);
        rig_send(rig->server, data, len);
    }
}

#define PIECES 40 /* more than the pipe of the rig has slots */
#define PIECE  50

START_TEST(a_wrong_guess_is_corrected_and_the_last)
{
    char *data = pattern(PIECES * PIECE);
    rig_open(&r, RIG_SPLICE);
    for (int again = 0; again < 2 && r.relay_stock.splice; again++) {
        send_scattered(&r, data, PIECES, PIECE);
        ck_assert_int_eq(rig_pump_on_events(&r), 0); /* no event is left to tell of the rest */
        ck_assert_int_eq(r.up.bytes % (PIECES * PIECE) != 0, again == 0);
        ck_assert_int_eq(rig_confirm(&r), again == 0);
        ck_assert(r.up.misguessed);
        ck_assert_int_eq(rig_pump(&r), 0);
        rig_expect(r.server, data, PIECES * PIECE);
    }
    free(data);
    rig_close(&r);
}
END_TEST
#endif

START_TEST(a_busy_flow_stops_after_its_share)
{
    char *data = pattern(60000);
    int turns = 0, rc;
    rig_open(&r, RIG_SPLICE);
    r.relay_stock.pipes.size = 4096; /* 15 fills */
    rig_send(r.client, data, 60000);
    rig_await(&r, &r.client_side, SIDE_READABLE);
    rig_await(&r, &r.server_side, SIDE_WRITABLE);
    while ((rc = flow_pump(&r.up, &r.client_side, &r.server_side, &r.relay_stock)) == FLOW_AGAIN)
        turns++;
    ck_assert_int_eq(rc, FLOW_WAIT);
    ck_assert_int_ge(turns, relay_stock_can_splice());
    RIG_PUMP_UNTIL(&r, r.up.bytes == 60000); /* not all of it may have come by then */
    rig_expect(r.server, data, 60000);
    free(data);
    rig_close(&r);
}
END_TEST

START_TEST(a_reset_names_the_end_that_failed)
{
    rig_open(&r, (enum rig_kind)_i);
    sock_reset(r.server);
    rig_await(&r, &r.server_side, SIDE_FAILED);
    rig_send(r.client, "x", 1);
    rig_await(&r, &r.client_side, SIDE_READABLE);
    side_clear(&r.server_side, SIDE_READABLE);
    ck_assert_int_lt(rig_pump(&r), 0);
    ck_assert(r.up.sink_failed);
    r.server = -1;
    rig_close(&r);
}
END_TEST

static void urgent_in_the_middle(size_t before, size_t after)
{
    char data[128];
    memset(data, 'a', sizeof data);
    if (before > 0)
        rig_send(r.client, data, before);
    ck_assert_int_eq(send(r.client, "!", 1, MSG_OOB), 1);
    if (after > 0)
        rig_send(r.client, data, after);
    shutdown(r.client, SHUT_WR);
    rig_await(&r, &r.client_side, SIDE_ENDED);
    RIG_PUMP_UNTIL(&r, r.up.state == FLOW_DONE);
    shutdown(r.server_side.fd, SHUT_WR);
    rig_expect(r.server, data, before + after);
    rig_expect_end(r.server);
}

START_TEST(an_urgent_byte_neither_stops_nor_joins_the_stream)
{
    static const size_t cases[][2] = { { 0, 0 }, { 0, 5 }, { 5, 0 }, { 5, 5 }, { 64, 64 } };
    for (size_t c = 0; c < sizeof cases / sizeof cases[0]; c++) {
        rig_open(&r, (enum rig_kind)_i);
        urgent_in_the_middle(cases[c][0], cases[c][1]);
        rig_close(&r);
    }
}
END_TEST

START_TEST(the_urgent_mark_is_passed_on)
{
    char byte = 0;
    rig_open(&r, (enum rig_kind)_i);
    rig_send(r.client, "ab", 2);
    ck_assert_int_eq(send(r.client, "!", 1, MSG_OOB), 1);
    rig_await(&r, &r.client_side, SIDE_URGENT);
    RIG_PUMP_UNTIL(&r, r.up.bytes >= 2);
    rig_expect(r.server, "ab", 2);
    ck_assert_int_eq(recv(r.server, &byte, 1, MSG_OOB), 1);
    ck_assert_int_eq(byte, '!');
    rig_send(r.client, "cd", 2); /* behind the mark, splice(2) alone would never see it */
    ck_assert_int_eq(rig_pump(&r), 0);
    rig_expect(r.server, "cd", 2);
    rig_close(&r);
}
END_TEST

START_TEST(urgent_bytes_may_follow_each_other)
{
    rig_open(&r, (enum rig_kind)_i);
    for (int i = 0; i < 20; i++) {
        rig_send(r.client, "ab", 2);
        ck_assert_int_eq(send(r.client, "!", 1, MSG_OOB), 1);
        rig_await(&r, &r.client_side, SIDE_URGENT);
        ck_assert_int_eq(rig_pump(&r), 0);
        rig_send(r.client, "cd", 2);
        ck_assert_int_eq(rig_pump(&r), 0);
        rig_expect(r.server, "ab", 2);
        rig_expect(r.server, "cd", 2);
    }
    rig_close(&r);
}
END_TEST

START_TEST(without_pipes_bytes_are_copied_and_counted)
{
    rig_open(&r, RIG_SPLICE);
    r.quota.left = 0;
    rig_send(r.client, "request", 7);
    RIG_PUMP_UNTIL(&r, r.up.bytes == 7);
    rig_expect(r.server, "request", 7);
    ck_assert_uint_eq(counter_get(&r.relay_stock.bytes[RELAY_COPY][RELAY_UP]), 7);
    ck_assert_uint_ge(counter_get(&r.relay_stock.fallbacks[RELAY_NO_PIPE]),
                      relay_stock_can_splice());
    rig_close(&r);
}
END_TEST

#ifdef ZPROXY_SPLICE
START_TEST(what_is_in_the_pipe_when_splice_is_refused_arrives_in_order)
{
    size_t sent;
    char *data = pattern(STALL_BYTES);
    rig_open(&r, RIG_SPLICE);
    if (r.relay_stock.splice) {
        stall(&r, data, &sent);
        ck_assert_ptr_nonnull(r.up.pipe);
        r.up.copy = true; /* as after EINVAL */
        send_and_read_all(&r, data, sent, STALL_BYTES);
        ck_assert_uint_gt(counter_get(&r.relay_stock.bytes[RELAY_COPY][RELAY_UP]), 0);
    }
    free(data);
    rig_close(&r);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("flow");
    TCase *both = tcase_create("splice and copy");
    TCase *one = tcase_create("fallback");
    tcase_set_timeout(both, 60);
    tcase_set_timeout(one, 60);
    tcase_add_loop_test(both, bytes_arrive_both_ways, 0, RIG_KINDS);
    tcase_add_loop_test(both, the_path_taken_is_counted, 0, RIG_KINDS);
    tcase_add_loop_test(both, half_close_keeps_the_reply_flowing, 0, RIG_KINDS);
    tcase_add_loop_test(both, the_end_comes_after_the_last_byte, 0, RIG_KINDS);
    tcase_add_loop_test(both, a_stalled_sink_holds_the_source_and_loses_nothing, 0, RIG_KINDS);
    tcase_add_loop_test(both, no_pipe_is_held_while_nothing_is_in_flight, 0, RIG_KINDS);
    tcase_add_loop_test(both, segments_of_one_byte_fill_the_pipe_and_all_arrive, 0, RIG_KINDS);
    tcase_add_loop_test(both, a_reset_names_the_end_that_failed, 0, RIG_KINDS);
    tcase_add_loop_test(both, an_urgent_byte_neither_stops_nor_joins_the_stream, 0, RIG_KINDS);
    tcase_add_loop_test(both, the_urgent_mark_is_passed_on, 0, RIG_KINDS);
    tcase_add_loop_test(both, urgent_bytes_may_follow_each_other, 0, RIG_KINDS);
    tcase_add_test(one, a_busy_flow_stops_after_its_share);
    tcase_add_test(one, without_pipes_bytes_are_copied_and_counted);
#ifdef ZPROXY_SPLICE
    tcase_add_test(one, a_right_guess_needs_no_other_proof);
    tcase_add_test(one, a_guess_is_doubted_before_it_costs_a_call);
    tcase_add_test(one, a_wrong_guess_is_corrected_and_the_last);
    tcase_add_test(one, what_is_in_the_pipe_when_splice_is_refused_arrives_in_order);
#endif
    suite_add_tcase(s, both);
    suite_add_tcase(s, one);
    return suite_main(s);
}
