#include <string.h>

#include "suite.h"
#include "tls/tls_control.h"

#define TLS12 0x0303
#define TLS13 0x0304

enum {
    ALERT = 21,
    HANDSHAKE = 22,
    DATA = 23
};

struct row {
    uint16_t version;
    bool server; /* this end */
    uint8_t type;
    unsigned char bytes[16];
    size_t length;
    enum tls_control_event expected;
};

/* clang-format off */
static const struct row rows[] = {
    { TLS13, true,  ALERT, { 1, 0 }, 2, TLS_CONTROL_CLOSE_NOTIFY },
    { TLS12, true,  ALERT, { 1, 0 }, 2, TLS_CONTROL_CLOSE_NOTIFY },
    { TLS12, true,  ALERT, { 2, 0 }, 2, TLS_CONTROL_CLOSE_NOTIFY },
    { TLS13, true,  ALERT, { 1, 90 }, 2, TLS_CONTROL_IGNORED }, /* user_canceled */
    { TLS12, true,  ALERT, { 1, 100 }, 2, TLS_CONTROL_IGNORED },
    { TLS13, true,  ALERT, { 1, 100 }, 2, TLS_CONTROL_FATAL }, /* TLS 1.3 has no warnings */
    { TLS12, true,  ALERT, { 2, 20 }, 2, TLS_CONTROL_FATAL },
    { TLS13, true,  ALERT, { 2, 80 }, 2, TLS_CONTROL_FATAL },
    { TLS13, true,  ALERT, { 1 }, 1, TLS_CONTROL_UNEXPECTED },
    { TLS13, true,  ALERT, { 0 }, 0, TLS_CONTROL_UNEXPECTED },
    { TLS13, true,  ALERT, { 1, 0, 1, 0 }, 4, TLS_CONTROL_UNEXPECTED },
    { TLS13, true,  HANDSHAKE, { 24, 0, 0, 1, 0 }, 5, TLS_CONTROL_KEY_UPDATE },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 1 }, 5, TLS_CONTROL_KEY_REQUEST },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 2 }, 5, TLS_CONTROL_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 2, 0, 0 }, 6, TLS_CONTROL_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1 }, 4, TLS_CONTROL_IGNORED }, /* the rest follows */
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 0, 4, 0, 0, 0 }, 9, TLS_CONTROL_UNEXPECTED },
    { TLS12, false, HANDSHAKE, { 24, 0, 0, 1, 0 }, 5, TLS_CONTROL_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 2, 9, 9 }, 6, TLS_CONTROL_IGNORED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 1, 9, 4, 0, 0, 0 }, 9, TLS_CONTROL_IGNORED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 1, 9, 24, 0, 0, 1, 0 }, 10, TLS_CONTROL_KEY_UPDATE },
    { TLS13, true,  HANDSHAKE, { 4, 0, 0, 2, 9, 9 }, 6, TLS_CONTROL_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0 }, 3, TLS_CONTROL_IGNORED },
    { TLS13, false, HANDSHAKE, { 13, 0, 0, 0 }, 4, TLS_CONTROL_UNEXPECTED }, /* CertificateRequest */
    { TLS13, false, HANDSHAKE, { 0 }, 0, TLS_CONTROL_UNEXPECTED },
    { TLS12, false, HANDSHAKE, { 0, 0, 0, 0 }, 4, TLS_CONTROL_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 1, 0, 0, 4, 3, 3, 0, 0 }, 8, TLS_CONTROL_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 1, 0, 2, 0, 3, 3 }, 6, TLS_CONTROL_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 0, 0, 0, 0 }, 4, TLS_CONTROL_UNEXPECTED },
    { TLS13, true,  HANDSHAKE, { 1, 0, 0, 4, 3, 3, 0, 0 }, 8, TLS_CONTROL_UNEXPECTED },
    { TLS13, true,  DATA, { 0 }, 0, TLS_CONTROL_IGNORED }, /* nothing but padding */
    { TLS13, true,  20, { 1 }, 1, TLS_CONTROL_UNEXPECTED }, /* ChangeCipherSpec */
    { TLS13, true,  24, { 1 }, 1, TLS_CONTROL_UNEXPECTED }, /* heartbeat */
};
/* clang-format on */

START_TEST(records_are_judged)
{
    const struct row *r = &rows[_i];
    struct tls_control_reader reader = { 0 };
    ck_assert_int_eq(tls_control_judge(&reader, r->type, r->bytes, r->length, r->version,
                                       r->server),
                     r->expected);
}
END_TEST

START_TEST(a_ticket_may_take_several_records)
{
    struct tls_control_reader reader = { 0 };
    unsigned char first[10] = { 4, 0, 0x40, 0 }; /* 16384 bytes follow the header */
    unsigned char middle[16000];
    unsigned char last[383] = { 0 }; /* the rest, and a KeyUpdate */
    memset(middle, 24, sizeof middle);
    last[378] = 24;
    last[381] = 1;
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, first, sizeof first, TLS13, false),
                     TLS_CONTROL_IGNORED);
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, middle, sizeof middle, TLS13, false),
                     TLS_CONTROL_IGNORED);
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, last, sizeof last, TLS13, false),
                     TLS_CONTROL_KEY_UPDATE);
    ck_assert_uint_eq(reader.skip, 0);
}
END_TEST

/* RFC 8446, 5.1: a handshake message may be fragmented. */
START_TEST(a_key_update_may_come_in_pieces)
{
    const unsigned char update[] = { 24, 0, 0, 1, 1 };
    for (size_t cut = 1; cut < sizeof update; cut++) {
        struct tls_control_reader reader = { 0 };
        ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update, cut, TLS13, true),
                         TLS_CONTROL_IGNORED);
        ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update + cut, sizeof update - cut,
                                           TLS13, true),
                         TLS_CONTROL_KEY_REQUEST);
        ck_assert(tls_control_take_data(&reader));
    }
    struct tls_control_reader reader = { 0 };
    for (size_t i = 0; i < sizeof update; i++)
        ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update + i, 1, TLS13, true),
                         i + 1 < sizeof update ? TLS_CONTROL_IGNORED : TLS_CONTROL_KEY_REQUEST);
}
END_TEST

START_TEST(a_hello_of_a_renegotiation_may_come_in_pieces)
{
    unsigned char hello[300] = { 1, 0, 1, 0x28 };
    for (size_t cut = 1; cut < sizeof hello; cut++) {
        struct tls_control_reader reader = { 0 };
        int first = tls_control_judge(&reader, HANDSHAKE, hello, cut, TLS12, true);
        int second =
            tls_control_judge(&reader, HANDSHAKE, hello + cut, sizeof hello - cut, TLS12, true);
        ck_assert_int_eq(first, cut < 4 ? TLS_CONTROL_IGNORED : TLS_CONTROL_RENEGOTIATE);
        ck_assert_int_eq(second, cut < 4 ? TLS_CONTROL_RENEGOTIATE : TLS_CONTROL_IGNORED);
        ck_assert(tls_control_take_data(&reader));
    }
}
END_TEST

static int alert_for(uint8_t type, const void *bytes, size_t size)
{
    struct tls_control_reader reader = { 0 };
    ck_assert_int_eq(tls_control_judge(&reader, type, bytes, size, TLS13, true),
                     TLS_CONTROL_UNEXPECTED);
    return reader.alert;
}

START_TEST(what_is_refused_is_answered_as_the_rfc_says)
{
    ck_assert_int_eq(alert_for(HANDSHAKE, "\x18\0\0\1\2", 5), TLS_ALERT_ILLEGAL_PARAMETER);
    ck_assert_int_eq(alert_for(HANDSHAKE, "\x18\0\0\2\0\0", 6), TLS_ALERT_DECODE_ERROR);
    ck_assert_int_eq(alert_for(HANDSHAKE, "\x18\0\0\0", 4), TLS_ALERT_DECODE_ERROR);
    ck_assert_int_eq(alert_for(HANDSHAKE, "\x18\0\0\1\0\x18", 6), TLS_ALERT_UNEXPECTED_MESSAGE);
    ck_assert_int_eq(alert_for(HANDSHAKE, "", 0), TLS_ALERT_UNEXPECTED_MESSAGE);
    ck_assert_int_eq(alert_for(20, "\1", 1), TLS_ALERT_UNEXPECTED_MESSAGE);
}
END_TEST

START_TEST(nothing_may_come_between_the_parts_of_a_message)
{
    struct tls_control_reader reader = { 0 };
    const unsigned char first[10] = { 4, 0, 0x40, 0 };
    const unsigned char alert[2] = { 1, 0 };
    tls_control_judge(&reader, HANDSHAKE, first, sizeof first, TLS13, false);
    ck_assert_int_eq(tls_control_judge(&reader, ALERT, alert, sizeof alert, TLS13, false),
                     TLS_CONTROL_UNEXPECTED);
    ck_assert(!tls_control_take_data(&reader));
    reader = (struct tls_control_reader){ 0 };
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, (const unsigned char *)"\x18", 1, TLS13,
                                       true),
                     TLS_CONTROL_IGNORED);
    ck_assert(!tls_control_take_data(&reader));
    ck_assert_int_eq(tls_control_judge(&reader, DATA, alert, 0, TLS13, true),
                     TLS_CONTROL_UNEXPECTED);
}
END_TEST

START_TEST(a_storm_without_data_ends)
{
    struct tls_control_reader reader = { 0 };
    const unsigned char update[] = { 24, 0, 0, 1, 1 };
    for (int i = 0; i < 32; i++)
        ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                         TLS_CONTROL_KEY_REQUEST);
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                     TLS_CONTROL_FLOOD);
    ck_assert_int_eq(tls_control_judge(&reader, ALERT, (const unsigned char *)"\1", 2, TLS13, true),
                     TLS_CONTROL_CLOSE_NOTIFY);
    ck_assert(tls_control_take_data(&reader));
    ck_assert_int_eq(tls_control_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                     TLS_CONTROL_KEY_REQUEST);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tls_control");
    TCase *t = tcase_create("records");
    tcase_add_loop_test(t, records_are_judged, 0, sizeof rows / sizeof rows[0]);
    tcase_add_test(t, a_ticket_may_take_several_records);
    tcase_add_test(t, nothing_may_come_between_the_parts_of_a_message);
    tcase_add_test(t, a_key_update_may_come_in_pieces);
    tcase_add_test(t, a_hello_of_a_renegotiation_may_come_in_pieces);
    tcase_add_test(t, what_is_refused_is_answered_as_the_rfc_says);
    tcase_add_test(t, a_storm_without_data_ends);
    suite_add_tcase(s, t);
    return suite_main(s);
}
