#include "balance/connect_time.h"
#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;

static void make(size_t count, const unsigned *weights)
{
    policy_rig_open(&f, &policy_least_time, weights, count);
    for (size_t i = 0; i < count; i++)
        policy_rig_changed(&f, i);
}

static void took(size_t i, uint64_t us)
{
    connect_time_add(&f.servers[i]->connect_time, us, f.now);
    policy_rig_changed(&f, i);
}

/* How many of n sessions, which stay, go to the server. */
static unsigned stay(size_t i, unsigned n)
{
    unsigned got = 0;
    while (n-- > 0)
        got += policy_rig_pick(&f, 0) == (long)i;
    return got;
}

static void expect_between(uint64_t value, uint64_t low, uint64_t high)
{
    ck_assert_uint_ge(value, low);
    ck_assert_uint_le(value, high);
}

START_TEST(an_idle_server_with_the_least_time_is_picked)
{
    make(3, NULL);
    took(0, 900);
    took(1, 300);
    took(2, 301);
    for (int n = 0; n < 100; n++)
        ck_assert_int_eq(policy_rig_visit(&f, 0), 1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(sessions_are_spread_by_time_and_weight)
{
    static const unsigned weights[] = { 2, 1, 6 };
    make(3, weights);
    took(0, 1000);
    took(1, 1000);
    took(2, 3000);
    expect_between(stay(1, 500), 97, 103); /* 2 : 1 : 2 */
    ck_assert_uint_eq(server_active(f.servers[0]) + server_active(f.servers[2]) +
                          server_active(f.servers[1]),
                      500);
    expect_between(server_active(f.servers[0]), 195, 205);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_that_was_slow_once_is_tried_again)
{
    int visits = 0;
    make(2, NULL);
    took(0, 100000);
    took(1, 1000);
    while (policy_rig_visit(&f, 0) == 1) {
        ck_assert_int_lt(visits++, 1000);
        f.now += 100;
        took(1, 1000);
    }
    expect_between((uint64_t)visits, 500, 600); /* log2(100) = 6.6 times 8.2 s */
    took(0, 1000);                              /* after that time, one sample counts in full */
    ck_assert_uint_lt(connect_time_average(&f.servers[0]->connect_time), 3000);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_that_fails_quickly_does_not_look_fast)
{
    make(2, NULL);
    took(0, 500);
    took(1, 1000);
    ck_assert_int_eq(policy_rig_visit(&f, 0), 0);
    took(0, CONNECT_TIME_FAILED);
    ck_assert_int_eq(policy_rig_visit(&f, 0), 1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_new_server_is_neither_starved_nor_flooded)
{
    make(3, NULL);
    took(0, 200);
    took(1, 50000);
    connect_time_forget(&f.servers[2]->connect_time);
    policy_rig_renew(&f);
    for (size_t i = 0; i < 3; i++)
        policy_rig_changed(&f, i);
    expect_between(stay(2, 100), 49, 51); /* as many as the fastest */
    ck_assert_uint_eq(connect_time_average(&f.servers[2]->connect_time), 0);
    took(2, 50000); /* the first sample counts in full */
    ck_assert_uint_eq(connect_time_average(&f.servers[2]->connect_time), 50000);
    ck_assert_uint_eq(stay(2, 50), 0);
    policy_rig_close(&f);
}
END_TEST

START_TEST(without_samples_servers_count_as_fast_as_the_first_one_that_has_one)
{
    make(3, NULL);
    ck_assert_int_eq(policy_rig_pick(&f, 0), 0);
    took(0, 30);
    took(0, 30);
    expect_between(stay(1, 60), 19, 21);
    policy_rig_close(&f);
}
END_TEST

START_TEST(an_average_follows_its_samples)
{
    _Atomic uint64_t t = 0;
    ck_assert_uint_eq(connect_time_average(&t), 0);
    connect_time_add(&t, 1000, 5000);
    connect_time_add(&t, 9000, 5000);
    ck_assert_uint_eq(connect_time_average(&t), 2000); /* an eighth */
    for (int n = 0; n < 100; n++)
        connect_time_add(&t, 9000, 5000);
    expect_between(connect_time_average(&t), 8900, 9000);
    connect_time_add(&t, 1000, 5000 + CONNECT_TIME_HALF);
    expect_between(connect_time_average(&t), 4900, 5100);
    connect_time_add(&t, UINT64_MAX, UINT64_MAX >> 26);
    ck_assert_uint_gt(connect_time_average(&t), 1000000000);
    connect_time_add(&t, 0, UINT64_MAX >> 26);
    ck_assert_uint_gt(connect_time_average(&t), 0);
}
END_TEST

START_TEST(logarithms_are_exact_to_a_percent_and_grow)
{
    uint64_t before = 0;
    for (uint64_t x = 1; x < 100000; x++) {
        uint64_t log = connect_time_log2(x);
        ck_assert(x == 1 || log >= before);
        before = log;
    }
    ck_assert_uint_eq(connect_time_log2(1), 0);
    ck_assert_uint_eq(connect_time_log2(1024), UINT64_C(10) * CONNECT_TIME_UNIT);
    expect_between(connect_time_log2(3), 6460, 6520);    /* 6492 */
    expect_between(connect_time_log2(10), 13570, 13640); /* 13607 */
    ck_assert_uint_eq(connect_time_log2(UINT64_MAX) / CONNECT_TIME_UNIT, 63);
}
END_TEST

static void *come_and_go(void *arg)
{
    (void)arg;
    for (unsigned n = 0; n < 20000; n++) {
        long i = policy_rig_pick(&f, 0);
        assert_quietly(i >= 0);
        connect_time_add(&f.servers[i]->connect_time, 100 + n % 50, f.now);
        policy_rig_changed(&f, (size_t)i);
        policy_rig_release(&f, (size_t)i);
    }
    return NULL;
}

START_TEST(threads_leave_the_order_right)
{
    make(50, NULL);
    policy_rig_run(&f, 4, come_and_go);
    for (size_t i = 0; i < 50; i++)
        ck_assert_uint_eq(server_active(f.servers[i]), 0);
    uint64_t least = UINT64_MAX;
    for (size_t i = 0; i < 50; i++) {
        uint64_t rank = connect_time_rank(&f.servers[i]->connect_time);
        least = rank < least ? rank : least;
    }
    long i = policy_rig_pick(&f, 0);
    ck_assert_uint_eq(connect_time_rank(&f.servers[i]->connect_time), least);
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_least_time");
    TCase *t = tcase_create("least_time");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, an_idle_server_with_the_least_time_is_picked);
    tcase_add_test(t, sessions_are_spread_by_time_and_weight);
    tcase_add_test(t, a_server_that_was_slow_once_is_tried_again);
    tcase_add_test(t, a_server_that_fails_quickly_does_not_look_fast);
    tcase_add_test(t, a_new_server_is_neither_starved_nor_flooded);
    tcase_add_test(t, without_samples_servers_count_as_fast_as_the_first_one_that_has_one);
    tcase_add_test(t, an_average_follows_its_samples);
    tcase_add_test(t, logarithms_are_exact_to_a_percent_and_grow);
    tcase_add_test(t, threads_leave_the_order_right);
    suite_add_tcase(s, t);
    return suite_main(s);
}
