#include <string.h>

#include "suite.h"
#include "tls/ktls.h"

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
    enum ktls_event expected;
};

/* clang-format off */
static const struct row rows[] = {
    { TLS13, true,  ALERT, { 1, 0 }, 2, KTLS_CLOSE_NOTIFY },
    { TLS12, true,  ALERT, { 1, 0 }, 2, KTLS_CLOSE_NOTIFY },
    { TLS12, true,  ALERT, { 2, 0 }, 2, KTLS_CLOSE_NOTIFY },
    { TLS13, true,  ALERT, { 1, 90 }, 2, KTLS_IGNORED }, /* user_canceled */
    { TLS12, true,  ALERT, { 1, 100 }, 2, KTLS_IGNORED },
    { TLS13, true,  ALERT, { 1, 100 }, 2, KTLS_FATAL }, /* TLS 1.3 has no warnings */
    { TLS12, true,  ALERT, { 2, 20 }, 2, KTLS_FATAL },
    { TLS13, true,  ALERT, { 2, 80 }, 2, KTLS_FATAL },
    { TLS13, true,  ALERT, { 1 }, 1, KTLS_UNEXPECTED },
    { TLS13, true,  ALERT, { 0 }, 0, KTLS_UNEXPECTED },
    { TLS13, true,  ALERT, { 1, 0, 1, 0 }, 4, KTLS_UNEXPECTED },
    { TLS13, true,  HANDSHAKE, { 24, 0, 0, 1, 0 }, 5, KTLS_KEY_UPDATE },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 1 }, 5, KTLS_KEY_REQUEST },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 2 }, 5, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 2, 0, 0 }, 6, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1 }, 4, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 24, 0, 0, 1, 0, 4, 0, 0, 0 }, 9, KTLS_UNEXPECTED },
    { TLS12, false, HANDSHAKE, { 24, 0, 0, 1, 0 }, 5, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 2, 9, 9 }, 6, KTLS_IGNORED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 1, 9, 4, 0, 0, 0 }, 9, KTLS_IGNORED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0, 1, 9, 24, 0, 0, 1, 0 }, 10, KTLS_KEY_UPDATE },
    { TLS13, true,  HANDSHAKE, { 4, 0, 0, 2, 9, 9 }, 6, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 4, 0, 0 }, 3, KTLS_UNEXPECTED },
    { TLS13, false, HANDSHAKE, { 13, 0, 0, 0 }, 4, KTLS_UNEXPECTED }, /* CertificateRequest */
    { TLS13, false, HANDSHAKE, { 0 }, 0, KTLS_UNEXPECTED },
    { TLS12, false, HANDSHAKE, { 0, 0, 0, 0 }, 4, KTLS_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 1, 0, 0, 4, 3, 3, 0, 0 }, 8, KTLS_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 1, 0, 2, 0, 3, 3 }, 6, KTLS_RENEGOTIATE },
    { TLS12, true,  HANDSHAKE, { 0, 0, 0, 0 }, 4, KTLS_UNEXPECTED },
    { TLS13, true,  HANDSHAKE, { 1, 0, 0, 4, 3, 3, 0, 0 }, 8, KTLS_UNEXPECTED },
    { TLS13, true,  20, { 1 }, 1, KTLS_UNEXPECTED }, /* ChangeCipherSpec */
    { TLS13, true,  24, { 1 }, 1, KTLS_UNEXPECTED }, /* heartbeat */
};
/* clang-format on */

START_TEST(records_are_judged)
{
    const struct row *r = &rows[_i];
    struct ktls_reader reader = { 0 };
    ck_assert_int_eq(ktls_judge(&reader, r->type, r->bytes, r->length, r->version, r->server),
                     r->expected);
}
END_TEST

START_TEST(a_ticket_may_take_several_records)
{
    struct ktls_reader reader = { 0 };
    unsigned char first[10] = { 4, 0, 0x40, 0 }; /* 16384 bytes follow the header */
    unsigned char middle[16000];
    unsigned char last[383] = { 0 }; /* the rest, and a KeyUpdate */
    memset(middle, 24, sizeof middle);
    last[378] = 24;
    last[381] = 1;
    ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, first, sizeof first, TLS13, false),
                     KTLS_IGNORED);
    ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, middle, sizeof middle, TLS13, false),
                     KTLS_IGNORED);
    ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, last, sizeof last, TLS13, false),
                     KTLS_KEY_UPDATE);
    ck_assert_uint_eq(reader.skip, 0);
}
END_TEST

START_TEST(nothing_may_come_between_the_parts_of_a_message)
{
    struct ktls_reader reader = { 0 };
    const unsigned char first[10] = { 4, 0, 0x40, 0 };
    const unsigned char alert[2] = { 1, 0 };
    ktls_judge(&reader, HANDSHAKE, first, sizeof first, TLS13, false);
    ck_assert_int_eq(ktls_judge(&reader, ALERT, alert, sizeof alert, TLS13, false),
                     KTLS_UNEXPECTED);
}
END_TEST

START_TEST(a_storm_without_data_ends)
{
    struct ktls_reader reader = { 0 };
    const unsigned char update[] = { 24, 0, 0, 1, 1 };
    for (int i = 0; i < 32; i++)
        ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                         KTLS_KEY_REQUEST);
    ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                     KTLS_UNEXPECTED);
    reader.ignored = 0; /* data has come */
    ck_assert_int_eq(ktls_judge(&reader, HANDSHAKE, update, sizeof update, TLS13, true),
                     KTLS_KEY_REQUEST);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ktls");
    TCase *t = tcase_create("ktls");
    tcase_add_loop_test(t, records_are_judged, 0, sizeof rows / sizeof rows[0]);
    tcase_add_test(t, a_ticket_may_take_several_records);
    tcase_add_test(t, nothing_may_come_between_the_parts_of_a_message);
    tcase_add_test(t, a_storm_without_data_ends);
    suite_add_tcase(s, t);
    return suite_main(s);
}
