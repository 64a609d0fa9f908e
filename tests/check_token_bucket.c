#include <stdlib.h>

#include "relay/token_bucket.h"
#include "suite.h"

static const uint64_t rates[] = {
    1,    2,     3,     7,      9,       10,       19,        250,
    1000, 64000, 65537, 999983, 1000000, 12500000, 125000000, 10000000000,
};

#define RATES ((int)(sizeof rates / sizeof *rates))

static struct token_bucket token_bucket;

/* As a flow does it: moves what it may, a piece at a time, until there is nothing left. */
static uint64_t drain(uint64_t now, uint64_t piece)
{
    uint64_t moved = 0;
    uint64_t n = 0;
    while ((n = token_bucket_refill(&token_bucket, now)) > 0) {
        n = n < piece ? n : piece;
        token_bucket_take(&token_bucket, n);
        moved += n;
    }
    return moved;
}

START_TEST(it_starts_empty)
{
    token_bucket_init(&token_bucket, rates[_i], 1000);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 1000), 0);
    ck_assert_uint_gt(token_bucket_due(&token_bucket), 1000);
}
END_TEST

START_TEST(it_holds_a_tenth_of_a_second)
{
    const uint64_t tenth = (rates[_i] + 9) / 10;
    token_bucket_init(&token_bucket, rates[_i], 0);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, UINT64_MAX), tenth);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, UINT64_MAX), tenth);
}
END_TEST

START_TEST(when_it_is_due_it_has_half_of_that)
{
    const uint64_t rate = rates[_i];
    token_bucket_init(&token_bucket, rate, 5);
    const uint64_t due = token_bucket_due(&token_bucket);
    ck_assert_uint_le(token_bucket_refill(&token_bucket, due - 1), rate / 20 + 1);
    ck_assert_uint_eq(token_bucket_due(&token_bucket), due);
    ck_assert_uint_ge(token_bucket_refill(&token_bucket, due), (rate + 19) / 20);
    ck_assert_uint_eq(token_bucket_due(&token_bucket), due);
    ck_assert_uint_ge(due, 5 + 50);
    ck_assert_uint_le(due, 5 + 50 + 1000 / rate + 1);
}
END_TEST

/* Wakes up when it is due, up to late_max later, and moves all it may. */
static void expect_rate(uint64_t rate, uint64_t piece, uint64_t late_max)
{
    const uint64_t seconds = rate < 100 ? 1000 : 100;
    const uint64_t piece_min = rate / 1000 + 1; /* not for ever with small pieces */
    uint64_t moved = 0;
    uint64_t wakes = 0;
    uint64_t now = 123456789;
    const uint64_t end = now + seconds * 1000;
    token_bucket_init(&token_bucket, rate, now);
    for (; now < end; wakes++) {
        uint64_t due = token_bucket_due(&token_bucket);
        ck_assert_uint_gt(due, now);
        now = due + (uint64_t)random() % (late_max + 1);
        moved += drain(now, piece > piece_min ? piece : piece_min);
    }
    const double wanted = (double)rate * (double)seconds;
    ck_assert_double_ge((double)moved, wanted * 0.98);
    ck_assert_double_le((double)moved, wanted * 1.02);
    ck_assert_uint_le(wakes, seconds * 20 + 1);
}

START_TEST(its_rate_is_kept)
{
    srandom(4711);
    expect_rate(rates[_i], UINT64_MAX, 0);
    expect_rate(rates[_i], 65536, 16);
    expect_rate(rates[_i], 1448, 40);
}
END_TEST

START_TEST(its_rate_is_kept_at_random_times)
{
    const uint64_t rate = rates[_i];
    const uint64_t seconds = rate < 100 ? 1000 : 100;
    uint64_t moved = 0;
    uint64_t now = 0;
    srandom(1147);
    token_bucket_init(&token_bucket, rate, now);
    while (now < seconds * 1000) {
        now += (uint64_t)random() % 50;
        moved += drain(now, UINT64_MAX);
        ck_assert_double_le((double)moved, (double)rate * (double)now / 1000);
    }
    ck_assert_double_ge((double)moved + 1, (double)rate * (double)now / 1000);
}
END_TEST

START_TEST(after_silence_it_holds_one_burst)
{
    const uint64_t rate = rates[_i];
    token_bucket_init(&token_bucket, rate, 0);
    ck_assert_uint_eq(drain(3600000, UINT64_MAX), (rate + 9) / 10);
    ck_assert_uint_eq(drain(3600000, UINT64_MAX), 0);
    ck_assert_uint_le(drain(3600000 + 50, UINT64_MAX), rate / 20 + 1);
}
END_TEST

START_TEST(a_clock_that_stands_or_steps_back_gives_nothing)
{
    token_bucket_init(&token_bucket, 1000, 1000);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 1050), 50);
    token_bucket_take(&token_bucket, 50);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 1050), 0);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 900), 0);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 1050), 0);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 1060), 10);
}
END_TEST

START_TEST(no_rate_is_too_much)
{
    token_bucket_init(&token_bucket, TOKEN_BUCKET_RATE_MAX, 0);
    ck_assert_uint_eq(token_bucket_due(&token_bucket), 51); /* the rounding: less than a byte */
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, 50), TOKEN_BUCKET_RATE_MAX / 20);
    ck_assert_uint_eq(token_bucket_refill(&token_bucket, UINT64_MAX),
                      (TOKEN_BUCKET_RATE_MAX + 9) / 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token_bucket");
    TCase *t = tcase_create("token_bucket");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, it_starts_empty, 0, RATES);
    tcase_add_loop_test(t, it_holds_a_tenth_of_a_second, 0, RATES);
    tcase_add_loop_test(t, when_it_is_due_it_has_half_of_that, 0, RATES);
    tcase_add_loop_test(t, its_rate_is_kept, 0, RATES);
    tcase_add_loop_test(t, its_rate_is_kept_at_random_times, 0, RATES);
    tcase_add_loop_test(t, after_silence_it_holds_one_burst, 0, RATES);
    tcase_add_test(t, a_clock_that_stands_or_steps_back_gives_nothing);
    tcase_add_test(t, no_rate_is_too_much);
    suite_add_tcase(s, t);
    return suite_main(s);
}
