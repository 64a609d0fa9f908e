#include <pthread.h>

#include "base/stats.h"
#include "suite.h"

static const struct histogram_scale scale = { .first = 10, .shift = 1 };

START_TEST(a_value_is_counted_in_the_bucket_of_the_lowest_bound_not_below_it)
{
    static const struct {
        uint64_t value;
        size_t bucket;
    } cases[] = {
        { 0, 0 },
        { 10, 0 },
        { 11, 1 },
        { 20, 1 },
        { 21, 2 },
        { 10u << 15, 15 },
        { (10u << 15) + 1, HISTOGRAM_BOUNDS },
        { UINT64_MAX / 2, HISTOGRAM_BOUNDS },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct histogram h = { .sum = { 0 } };
        histogram_add(&h, &scale, cases[i].value);
        for (size_t b = 0; b <= HISTOGRAM_BOUNDS; b++)
            ck_assert_uint_eq(counter_get(&h.bucket[b]), b == cases[i].bucket);
        ck_assert_uint_eq(counter_get(&h.sum), cases[i].value);
    }
}
END_TEST

START_TEST(totals_are_sums_over_histograms)
{
    struct histogram one = { .sum = { 0 } };
    struct histogram two = { .sum = { 0 } };
    struct histogram_totals sum = { .sum = 0 };
    histogram_add(&one, &scale, 5);
    histogram_add(&two, &scale, 7);
    histogram_add(&two, &scale, 1000000000);
    histogram_add_totals(&one, &sum);
    histogram_add_totals(&two, &sum);
    ck_assert_uint_eq(sum.bucket[0], 2);
    ck_assert_uint_eq(sum.bucket[HISTOGRAM_BOUNDS], 1);
    ck_assert_uint_eq(sum.sum, 1000000012);
}
END_TEST

START_TEST(a_gauge_goes_up_and_down)
{
    struct gauge g = { 0 };
    gauge_add(&g, 3);
    gauge_add(&g, -2);
    ck_assert_uint_eq(gauge_get(&g), 1);
}
END_TEST

#define THREADS   4
#define ADDITIONS 10000

static struct counter shared;

static void *add_to_shared(void *arg)
{
    (void)arg;
    for (int i = 0; i < ADDITIONS; i++)
        counter_add_shared(&shared, 1);
    return NULL;
}

START_TEST(a_shared_counter_loses_no_addition)
{
    pthread_t threads[THREADS];
    counter_set(&shared, 7);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, add_to_shared, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(counter_get(&shared), 7 + THREADS * ADDITIONS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("stats");
    TCase *t = tcase_create("stats");
    tcase_add_test(t, a_value_is_counted_in_the_bucket_of_the_lowest_bound_not_below_it);
    tcase_add_test(t, totals_are_sums_over_histograms);
    tcase_add_test(t, a_gauge_goes_up_and_down);
    tcase_add_test(t, a_shared_counter_loses_no_addition);
    suite_add_tcase(s, t);
    return suite_main(s);
}
