#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_ktls.h"
#include "suite.h"
#include "tls/tls_kernel.h"
#include "tls/tls_side.h"

/* What a connection in the kernel does beside data, with a kernel that encrypts nothing. */

static struct tls_kernel kernel;
static int fd[2];

static void begin(void)
{
    fake_ktls_begin();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    kernel = (struct tls_kernel){ .server = true, .version = TLS_1_3, .cipher = TLS_AES_128_GCM };
    for (int d = 0; d < TLS_DIRECTIONS; d++) {
        kernel.secret[d].length = 32;
        memset(kernel.secret[d].bytes, 1 + d, 32);
    }
}

static void end(void)
{
    close(fd[0]);
    close(fd[1]);
}

static int receive(uint8_t type, const void *bytes, size_t size)
{
    fake_ktls_receive(fd[0], type, bytes, size);
    return tls_kernel_control(&kernel, fd[0]);
}

static int receive_key_update(bool requested)
{
    const unsigned char bytes[] = { TLS_KEY_UPDATE, 0, 0, 1, requested };
    return receive(FAKE_HANDSHAKE, bytes, sizeof bytes);
}

static bool has_sent_key_update(void)
{
    return fake_ktls.sent_type == FAKE_HANDSHAKE && fake_ktls.sent_size == TLS_KEY_UPDATE_SIZE &&
           fake_ktls.sent_bytes[0] == TLS_KEY_UPDATE;
}

START_TEST(a_key_update_that_asks_for_one_is_answered)
{
    ck_assert_int_eq(receive_key_update(false), 0);
    ck_assert_int_eq(fake_ktls.keys_set, 1);
    ck_assert_int_eq(fake_ktls.sent, 0);
    ck_assert_int_eq(receive_key_update(true), 0);
    ck_assert_int_eq(fake_ktls.keys_set, 3);
    ck_assert_int_eq(fake_ktls.sent, 1);
    ck_assert(has_sent_key_update());
}
END_TEST

START_TEST(behind_close_notify_it_is_followed_without_an_answer)
{
    ck_assert_int_eq(tls_kernel_close(&kernel, fd[0]), 0);
    ck_assert_int_eq(fake_ktls.sent, 1);
    ck_assert_int_eq(receive_key_update(true), 0);
    ck_assert_int_eq(fake_ktls.keys_set, 1);
    ck_assert_int_eq(fake_ktls.sent, 1);
    ck_assert(!kernel.update_due);
}
END_TEST

START_TEST(a_storm_of_key_updates_ends_the_connection)
{
    for (int i = 0; i < TLS_CONTROL_MAX; i++)
        ck_assert_int_eq(receive_key_update(false), 0);
    ck_assert_int_eq(receive_key_update(false), -EPROTO);
    ck_assert_int_eq(fake_ktls.sent_type, FAKE_ALERT);
}
END_TEST

START_TEST(key_updates_between_data_are_no_storm)
{
    for (int i = 0; i < 3 * TLS_CONTROL_MAX; i++) {
        ck_assert_int_eq(receive_key_update(true), 0);
        if (_i == 0)
            ck_assert_int_eq(tls_kernel_received(&kernel, fd[0]), 0);
        else
            ck_assert_int_eq(tls_kernel_count(&kernel, fd[0], 100, 1), 0);
    }
}
END_TEST

START_TEST(data_between_the_parts_of_a_message_ends_the_connection)
{
    const unsigned char update[] = { TLS_KEY_UPDATE, 0, 0, 1, 0 };
    ck_assert_int_eq(receive(FAKE_HANDSHAKE, update, 2), 0);
    ck_assert_int_eq(tls_kernel_received(&kernel, fd[0]), -EPROTO);
    ck_assert_int_eq(fake_ktls.sent_type, FAKE_ALERT);
    ck_assert_int_eq(fake_ktls.sent_bytes[1], TLS_ALERT_UNEXPECTED_MESSAGE);
}
END_TEST

/* What the log says of a side whose connection has ended so. */
static void expect_error(const char *text)
{
    struct tls_side *t = tls_side_restore(&kernel, "", NULL);
    ck_assert_ptr_nonnull(t);
    tls_side_note_error(t, EPROTO, false);
    ck_assert_ptr_nonnull(t->error);
    ck_assert_str_eq(t->error, text);
    tls_side_free(t);
}

START_TEST(the_log_says_what_has_ended_a_connection)
{
    static const unsigned char fatal[] = { 2, 47 };
    static const unsigned char hello[] = { 1, 0, 0, 0 };
    static const unsigned char update[] = { TLS_KEY_UPDATE, 0, 0, 1, 0 };
    switch (_i) {
    case 0:
        ck_assert_int_eq(receive(FAKE_ALERT, fatal, sizeof fatal), -EPROTO);
        expect_error("the peer sent the alert: illegal parameter");
        break;
    case 1:
        ck_assert_int_eq(receive(FAKE_HANDSHAKE, hello, sizeof hello), -EPROTO);
        expect_error("unexpected message");
        break;
    case 2:
        ck_assert_int_eq(receive(FAKE_HANDSHAKE, update, 2), 0);
        ck_assert_int_eq(tls_kernel_received(&kernel, fd[0]), -EPROTO);
        expect_error("unexpected message");
        break;
    default:
        for (int i = 0; i < TLS_CONTROL_MAX; i++)
            ck_assert_int_eq(receive_key_update(false), 0);
        ck_assert_int_eq(receive_key_update(false), -EPROTO);
        expect_error("too many messages without data");
    }
}
END_TEST

/* The number of records is asked for from time to time. */
static int send_until_asked(void)
{
    int rc = 0;
    for (int i = 0; i < 2000 && rc == 0 && fake_ktls.sent == 0; i++)
        rc = tls_kernel_count(&kernel, fd[0], 16 * 1024 * 1024, 4096);
    return rc;
}

START_TEST(a_key_that_has_encrypted_enough_is_changed)
{
    fake_ktls.sequence = TLS_GCM_RECORDS_MAX - (1 << 20);
    ck_assert_int_eq(send_until_asked(), 0);
    ck_assert(has_sent_key_update());
    ck_assert_int_eq(fake_ktls.keys_set, 1);
}
END_TEST

START_TEST(a_key_that_has_not_is_kept)
{
    fake_ktls.sequence = TLS_GCM_RECORDS_MAX / 2;
    ck_assert_int_eq(send_until_asked(), 0);
    ck_assert_int_eq(fake_ktls.sent, 0);
}
END_TEST

START_TEST(where_keys_cannot_change_the_connection_ends)
{
    memset(kernel.secret, 0, sizeof kernel.secret);
    fake_ktls.sequence = TLS_GCM_RECORDS_MAX - (1 << 20);
    ck_assert_int_eq(send_until_asked(), -EKEYEXPIRED);
    ck_assert_int_eq(receive_key_update(false), -EKEYEXPIRED);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("tls_kernel_control");
    TCase *t = tcase_create("tls_kernel_control");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_key_update_that_asks_for_one_is_answered);
    tcase_add_test(t, behind_close_notify_it_is_followed_without_an_answer);
    tcase_add_test(t, a_storm_of_key_updates_ends_the_connection);
    tcase_add_loop_test(t, key_updates_between_data_are_no_storm, 0, 2);
    tcase_add_test(t, data_between_the_parts_of_a_message_ends_the_connection);
    tcase_add_loop_test(t, the_log_says_what_has_ended_a_connection, 0, 4);
    tcase_add_test(t, a_key_that_has_encrypted_enough_is_changed);
    tcase_add_test(t, a_key_that_has_not_is_kept);
    tcase_add_test(t, where_keys_cannot_change_the_connection_ends);
    suite_add_tcase(s, t);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
