#include <stdlib.h>

#include "relay/bucket.h"
#include "suite.h"

static const uint64_t rates[] = {
    1,    2,     3,     7,      9,       10,       19,        250,
    1000, 64000, 65537, 999983, 1000000, 12500000, 125000000, 10000000000,
};

#define RATES ((int)(sizeof rates / sizeof *rates))

static struct bucket bucket;

/* As a flow does it: moves what it may, a piece at a time, until there is nothing left. */
static uint64_t drain(uint64_t now, uint64_t piece)
{
    uint64_t moved = 0;
    uint64_t n = 0;
    while ((n = bucket_fill(&bucket, now)) > 0) {
        n = n < piece ? n : piece;
        bucket_take(&bucket, n);
        moved += n;
    }
    return moved;
}

START_TEST(it_starts_empty)
{
    bucket_init(&bucket, rates[_i], 1000);
    ck_assert_uint_eq(bucket_fill(&bucket, 1000), 0);
    ck_assert_uint_gt(bucket_due(&bucket), 1000);
}
END_TEST

START_TEST(it_holds_a_tenth_of_a_second)
{
    const uint64_t tenth = (rates[_i] + 9) / 10;
    bucket_init(&bucket, rates[_i], 0);
    ck_assert_uint_eq(bucket_fill(&bucket, UINT64_MAX), tenth);
    ck_assert_uint_eq(bucket_fill(&bucket, UINT64_MAX), tenth);
}
END_TEST

START_TEST(when_it_is_due_it_has_half_of_that)
{
    const uint64_t rate = rates[_i];
    bucket_init(&bucket, rate, 5);
    const uint64_t due = bucket_due(&bucket);
    ck_assert_uint_le(bucket_fill(&bucket, due - 1), rate / 20 + 1);
    ck_assert_uint_eq(bucket_due(&bucket), due);
    ck_assert_uint_ge(bucket_fill(&bucket, due), (rate + 19) / 20);
    ck_assert_uint_eq(bucket_due(&bucket), due);
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
    bucket_init(&bucket, rate, now);
    for (; now < end; wakes++) {
        uint64_t due = bucket_due(&bucket);
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

START_TEST(its_rate_is_kept_by_one_who_comes_at_any_time)
{
    const uint64_t rate = rates[_i];
    const uint64_t seconds = rate < 100 ? 1000 : 100;
    uint64_t moved = 0;
    uint64_t now = 0;
    srandom(1147);
    bucket_init(&bucket, rate, now);
    while (now < seconds * 1000) {
        now += (uint64_t)random() % 50;
        moved += drain(now, UINT64_MAX);
        ck_assert_double_le((double)moved, (double)rate * (double)now / 1000);
    }
    ck_assert_double_ge((double)moved + 1, (double)rate * (double)now / 1000);
}
END_TEST

START_TEST(who_was_silent_has_saved_up_no_more_than_a_burst)
{
    const uint64_t rate = rates[_i];
    bucket_init(&bucket, rate, 0);
    ck_assert_uint_eq(drain(3600000, UINT64_MAX), (rate + 9) / 10);
    ck_assert_uint_eq(drain(3600000, UINT64_MAX), 0);
    ck_assert_uint_le(drain(3600000 + 50, UINT64_MAX), rate / 20 + 1);
}
END_TEST

START_TEST(a_clock_that_stands_or_steps_back_gives_nothing)
{
    bucket_init(&bucket, 1000, 1000);
    ck_assert_uint_eq(bucket_fill(&bucket, 1050), 50);
    bucket_take(&bucket, 50);
    ck_assert_uint_eq(bucket_fill(&bucket, 1050), 0);
    ck_assert_uint_eq(bucket_fill(&bucket, 900), 0);
    ck_assert_uint_eq(bucket_fill(&bucket, 1050), 0);
    ck_assert_uint_eq(bucket_fill(&bucket, 1060), 10);
}
END_TEST

START_TEST(no_rate_is_too_much)
{
    bucket_init(&bucket, BUCKET_RATE_MAX, 0);
    ck_assert_uint_eq(bucket_due(&bucket), 51); /* the rounding: less than a byte */
    ck_assert_uint_eq(bucket_fill(&bucket, 50), BUCKET_RATE_MAX / 20);
    ck_assert_uint_eq(bucket_fill(&bucket, UINT64_MAX), (BUCKET_RATE_MAX + 9) / 10);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bucket");
    TCase *t = tcase_create("bucket");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, it_starts_empty, 0, RATES);
    tcase_add_loop_test(t, it_holds_a_tenth_of_a_second, 0, RATES);
    tcase_add_loop_test(t, when_it_is_due_it_has_half_of_that, 0, RATES);
    tcase_add_loop_test(t, its_rate_is_kept, 0, RATES);
    tcase_add_loop_test(t, its_rate_is_kept_by_one_who_comes_at_any_time, 0, RATES);
    tcase_add_loop_test(t, who_was_silent_has_saved_up_no_more_than_a_burst, 0, RATES);
    tcase_add_test(t, a_clock_that_stands_or_steps_back_gives_nothing);
    tcase_add_test(t, no_rate_is_too_much);
    suite_add_tcase(s, t);
    return suite_main(s);
}
