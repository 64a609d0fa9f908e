#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"
#include "tls/ktls.h"
#include "tls/ktls_support.h"

/* Two sockets of one connection, both with keys in the kernel. */
struct rig {
    int client;
    int server;
    int pipe[2];
    struct tls_keys up;   /* from the client to the server */
    struct tls_keys down; /* back */
    uint64_t written;     /* by the client before it had keys */
};

struct kind {
    uint16_t version;
    enum tls_cipher cipher;
};

static const struct kind kinds[] = {
    { 0x0303, TLS_AES_128_GCM }, { 0x0303, TLS_AES_256_GCM },
    { 0x0303, TLS_AES_128_CCM }, { 0x0303, TLS_CHACHA20_POLY1305 },
    { 0x0304, TLS_AES_128_GCM }, { 0x0304, TLS_AES_256_GCM },
    { 0x0304, TLS_AES_128_CCM }, { 0x0304, TLS_CHACHA20_POLY1305 },
};
#define KINDS ((int)(sizeof kinds / sizeof kinds[0]))

static struct tls_keys make_keys(const struct kind *kind, unsigned seed)
{
    struct tls_keys keys = { .version = kind->version,
                             .cipher = (uint8_t)kind->cipher,
                             .sequence = seed };
    for (size_t i = 0; i < sizeof keys.key; i++)
        keys.key[i] = (unsigned char)(seed + 3 * i);
    for (size_t i = 0; i < sizeof keys.iv; i++)
        keys.iv[i] = (unsigned char)(seed + 5 * i);
    return keys;
}

static struct rig rig_connect(void)
{
    struct rig r = { .client = socket(AF_INET, SOCK_STREAM, 0) };
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t size = sizeof at;
    int listening = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listening, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(listening, 1), 0);
    getsockname(listening, (struct sockaddr *)&at, &size);
    ck_assert_int_eq(connect(r.client, (struct sockaddr *)&at, sizeof at), 0);
    r.server = accept(listening, NULL, NULL);
    close(listening);
    ck_assert_int_eq(pipe2(r.pipe, O_NONBLOCK), 0);
    fcntl(r.client, F_SETFL, O_NONBLOCK);
    fcntl(r.server, F_SETFL, O_NONBLOCK);
    return r;
}

static struct rig rig_open(const struct kind *kind)
{
    struct rig r = rig_connect();
    r.up = make_keys(kind, 7);
    r.down = make_keys(kind, 70);
    ck_assert_int_eq(ktls_attach(r.client), 0);
    ck_assert_int_eq(ktls_attach(r.server), 0);
    ck_assert_int_eq(ktls_attach(r.server), 0); /* twice is allowed */
    ck_assert_int_eq(ktls_written(r.client, &r.written), 0);
    ck_assert_int_eq(ktls_set_keys(r.client, TLS_SEND, &r.up), 0);
    ck_assert_int_eq(ktls_set_keys(r.client, TLS_RECEIVE, &r.down), 0);
    ck_assert_int_eq(ktls_set_keys(r.server, TLS_SEND, &r.down), 0);
    ck_assert_int_eq(ktls_set_keys(r.server, TLS_RECEIVE, &r.up), 0);
    return r;
}

static void rig_close(struct rig *r)
{
    close(r->client);
    close(r->server);
    close(r->pipe[0]);
    close(r->pipe[1]);
}

static void await(int fd, short events)
{
    struct pollfd p = { .fd = fd, .events = events };
    ck_assert_int_eq(poll(&p, 1, 10000), 1);
}

/* Splices what is there; EAGAIN is waited for. Returns the bytes, or -errno. */
static ssize_t splice_in(struct rig *r, int fd)
{
    for (;;) {
        ssize_t n = splice(fd, NULL, r->pipe[1], NULL, 1 << 16, SPLICE_F_NONBLOCK);
        if (n != -1 || errno != EAGAIN)
            return n == -1 ? -errno : n;
        await(fd, POLLIN);
    }
}

static void expect(struct rig *r, int fd, const char *text)
{
    char got[64] = { 0 };
    size_t length = strlen(text);
    for (size_t at = 0; at < length;) {
        ssize_t n = splice_in(r, fd);
        ck_assert_int_gt(n, 0);
        ck_assert_int_eq(read(r->pipe[0], got + at, (size_t)n), n);
        at += (size_t)n;
    }
    ck_assert_str_eq(got, text);
}

static int control_of(struct rig *r, int fd, struct tls_control_reader *reader)
{
    ck_assert_int_eq(splice_in(r, fd), -EINVAL);
    return ktls_read_control(fd, reader, r->up.version, fd == r->server);
}

START_TEST(data_is_spliced_in_both_directions)
{
    struct rig r = rig_open(&kinds[_i]);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(write(r.client, "up", 2), 2);
        expect(&r, r.server, "up");
        ck_assert_int_eq(write(r.server, "down", 4), 4);
        expect(&r, r.client, "down");
    }
    rig_close(&r);
}
END_TEST

START_TEST(the_number_of_records_is_known)
{
    struct rig r = rig_open(&kinds[_i]);
    uint64_t n = 0;
    ck_assert_int_eq(ktls_get_sequence(r.client, TLS_SEND, kinds[_i].cipher, &n), 0);
    ck_assert_uint_eq(n, 7);
    ck_assert_int_eq(write(r.client, "up", 2), 2);
    ck_assert_int_eq(write(r.client, "and", 3), 3);
    ck_assert_int_eq(ktls_get_sequence(r.client, TLS_SEND, kinds[_i].cipher, &n), 0);
    ck_assert_uint_eq(n, 9);
    expect(&r, r.server, "upand");
    ck_assert_int_eq(ktls_get_sequence(r.server, TLS_RECEIVE, kinds[_i].cipher, &n), 0);
    ck_assert_uint_eq(n, 9);
    rig_close(&r);
}
END_TEST

START_TEST(alerts_come_between_data)
{
    struct rig r = rig_open(&kinds[_i]);
    struct tls_control_reader reader = { 0 };
    ck_assert_int_eq(write(r.client, "before", 6), 6);
    ck_assert_int_eq(ktls_send_alert(r.client, false, TLS_ALERT_USER_CANCELED), 0);
    ck_assert_int_eq(write(r.client, "after", 5), 5);
    ck_assert_int_eq(ktls_send_alert(r.client, false, TLS_ALERT_CLOSE_NOTIFY), 0);
    expect(&r, r.server, "before");
    ck_assert_int_eq(control_of(&r, r.server, &reader), TLS_CONTROL_IGNORED);
    expect(&r, r.server, "after");
    ck_assert_int_eq(control_of(&r, r.server, &reader), TLS_CONTROL_CLOSE_NOTIFY);
    ck_assert_int_eq(ktls_read_control(r.server, &reader, r.up.version, true), -EAGAIN);
    rig_close(&r);
}
END_TEST

START_TEST(a_changed_record_is_refused)
{
    struct rig r = rig_connect();
    struct tls_keys good = make_keys(&kinds[_i], 7), bad = good;
    bad.key[3] ^= 1;
    ck_assert_int_eq(ktls_attach(r.client), 0);
    ck_assert_int_eq(ktls_attach(r.server), 0);
    ck_assert_int_eq(ktls_set_keys(r.client, TLS_SEND, &good), 0);
    ck_assert_int_eq(ktls_set_keys(r.server, TLS_RECEIVE, &bad), 0);
    ck_assert_int_eq(write(r.client, "text", 4), 4);
    ck_assert_int_eq(splice_in(&r, r.server), -EBADMSG);
    rig_close(&r);
}
END_TEST

/* Into a socket with a small buffer, whose peer does not read. The kernel takes a record that does
 * not fit into it, which is then not flushed. Linux 6.1 takes most records as a whole. */
START_TEST(what_is_written_is_not_yet_flushed)
{
    static char block[16384];
    struct rig r = rig_open(&kinds[_i]);
    int small = 4096;
    size_t taken = 0;
    uint64_t records = 0;
    setsockopt(r.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    for (;;) {
        ssize_t n = write(r.client, block, sizeof block);
        if (n == -1)
            break;
        taken += (size_t)n;
    }
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_int_eq(ktls_get_sequence(r.client, TLS_SEND, kinds[_i].cipher, &records), 0);
    records -= r.up.sequence;
    uint64_t written =
        r.written + taken + records * tls_cipher_overhead(r.up.version, kinds[_i].cipher);
    ck_assert_int_ge(ktls_is_flushed(r.client, written), 0);
    size_t got = 0;
    while (got < taken) {
        ssize_t n = splice_in(&r, r.server);
        ck_assert_int_gt(n, 0);
        for (ssize_t left = n, m; left > 0; left -= m)
            m = read(r.pipe[0], block,
                     (size_t)(left < (ssize_t)sizeof block ? left : (ssize_t)sizeof block));
        got += (size_t)n;
    }
    ck_assert_int_eq(ktls_is_flushed(r.client, written), 1);
    ck_assert_int_eq(ktls_is_flushed(r.client, written + 1), 0);
    rig_close(&r);
}
END_TEST

START_TEST(only_an_established_connection_is_attached)
{
    struct rig r = rig_connect();
    shutdown(r.client, SHUT_WR);
    await(r.server, POLLRDHUP);
    ck_assert_int_eq(ktls_attach(r.server), -ENOTCONN);
    rig_close(&r);
}
END_TEST

START_TEST(new_keys_follow_a_key_update)
{
    struct rig r = rig_open(&kinds[_i]);
    struct tls_control_reader reader = { 0 };
    struct tls_keys next = make_keys(&kinds[_i], 0);
    if (!ktls_replaces_keys()) {
        ck_assert_int_eq(ktls_set_keys(r.client, TLS_SEND, &next), -EBUSY);
    } else {
        ck_assert_int_eq(write(r.client, "before", 6), 6);
        ck_assert_int_eq(ktls_send_key_update(r.client), 0);
        ck_assert_int_eq(ktls_set_keys(r.client, TLS_SEND, &next), 0);
        ck_assert_int_eq(write(r.client, "after", 5), 5);
        expect(&r, r.server, "before");
        ck_assert_int_eq(control_of(&r, r.server, &reader), TLS_CONTROL_KEY_UPDATE);
        ck_assert_int_eq(ktls_set_keys(r.server, TLS_RECEIVE, &next), 0);
        expect(&r, r.server, "after");
    }
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
    Suite *s = suite_create("ktls_kernel");
    TCase *t = tcase_create("ktls_kernel");
    tcase_add_loop_test(t, data_is_spliced_in_both_directions, 0, KINDS);
    tcase_add_loop_test(t, the_number_of_records_is_known, 0, KINDS);
    tcase_add_loop_test(t, alerts_come_between_data, 0, KINDS);
    tcase_add_loop_test(t, a_changed_record_is_refused, 0, KINDS);
    tcase_add_loop_test(t, what_is_written_is_not_yet_flushed, 0, KINDS);
    tcase_add_test(t, only_an_established_connection_is_attached);
    tcase_add_loop_test(t, new_keys_follow_a_key_update, 4, KINDS);
    suite_add_tcase(s, t);
    return suite_main(s);
}
