/* Tests of all policies. */
#include <stdlib.h>

#include "balance/policy.h"
#include "policy_rig.h"
#include "suite.h"

#define POLICIES (CONFIG_BALANCE_LEAST_TIME + 1)

static struct policy_rig f;

static void make(int policy, size_t count)
{
    policy_rig_open(&f, policy_find((enum config_balance)policy), NULL, count);
}

START_TEST(without_servers_none_is_picked)
{
    make(_i, 0);
    ck_assert_int_eq(policy_rig_pick(&f, 1), -1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(if_all_refuse_none_is_picked)
{
    make(_i, 100);
    for (size_t i = 0; i < 100; i++)
        f.refuses[i] = true;
    ck_assert_int_eq(policy_rig_pick(&f, 1), -1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(if_all_are_full_none_is_picked)
{
    make(_i, 10);
    for (size_t i = 0; i < 10; i++)
        policy_rig_set_limit(&f, i, 3);
    for (uint64_t n = 0; n < 30; n++)
        ck_assert_int_ge(policy_rig_pick(&f, n), 0);
    ck_assert_int_eq(policy_rig_pick(&f, 31), -1);
    policy_rig_release(&f, 7);
    ck_assert_int_eq(policy_rig_pick(&f, 32), 7);
    policy_rig_close(&f);
}
END_TEST

START_TEST(the_only_server_that_does_not_refuse_is_picked)
{
    make(_i, 100);
    for (size_t i = 0; i < 100; i++)
        f.refuses[i] = true;
    for (size_t i = 0; i < 100; i++) {
        f.refuses[i] = false;
        ck_assert_int_eq(policy_rig_visit(&f, i), (long)i);
        f.refuses[i] = true;
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_that_is_down_gets_nothing_until_it_is_up)
{
    long seen = 0;
    make(_i, 5);
    policy_rig_set_up(&f, 0, false);
    for (uint64_t n = 0; n < 1000; n++)
        ck_assert_int_ge(policy_rig_visit(&f, n), 1);
    policy_rig_set_up(&f, 0, true);
    for (uint64_t n = 0; n < 1000; n++)
        seen += policy_rig_visit(&f, n) == 0;
    ck_assert_int_gt(seen, 100);
    policy_rig_close(&f);
}
END_TEST

/* The first server's part of the sessions, of two servers. */
static double part_of_first(void)
{
    const unsigned sessions = 40000;
    unsigned got = 0;
    for (unsigned n = 0; n < sessions; n++)
        got += policy_rig_visit(&f, n) == 0;
    return (double)got / sessions;
}

static void expect_near(double got, double expected)
{
    ck_assert_double_ge(got, expected - 0.03);
    ck_assert_double_le(got, expected + 0.03);
}

/* A share of a quarter gives, depending on the policy, 1 session to 4 of the other server, a
 * quarter of the server's keys, or a quarter of all sessions. */
START_TEST(a_share_grows_with_time)
{
    static const double quarter[POLICIES] = { 0.2, 0.2, 0.2, 0.125, 0.25, 0 };
    static const double whole[POLICIES] = { 0.5, 0.5, 0.5, 0.5, 1, 1 };
    make(_i, 2);
    server_start_slow_start(f.servers[0], f.now, 1000);
    f.now += 1;
    policy_rig_changed(&f, 0);
    expect_near(part_of_first(), 0);
    f.now += 249;
    policy_rig_changed(&f, 0);
    expect_near(part_of_first(), quarter[_i]);
    f.now += 750;
    policy_rig_changed(&f, 0);
    expect_near(part_of_first(), whole[_i]);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_in_slow_start_is_picked_if_it_is_the_only_one)
{
    make(_i, 2);
    f.refuses[1] = true;
    server_start_slow_start(f.servers[0], f.now, 1000);
    policy_rig_changed(&f, 0);
    for (uint64_t n = 0; n < 100; n++)
        ck_assert_int_eq(policy_rig_visit(&f, n), 0);
    policy_rig_close(&f);
}
END_TEST

START_TEST(one_of_a_thousand_is_acquired_at_the_first_try)
{
    make(_i, 1000);
    for (uint64_t n = 0; n < 1000; n++)
        ck_assert_int_ge(policy_rig_pick(&f, n), 0);
    ck_assert_uint_eq(f.asked, 1000);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_new_state_has_the_present_weights_and_sessions)
{
    make(_i, 3);
    for (uint64_t n = 0; n < 50; n++)
        policy_rig_pick(&f, n);
    for (size_t i = 0; i < 3; i++) {
        server_acquire(f.servers[i], SERVER_ANY_COUNT);
        policy_rig_set_limit(&f, i, server_active(f.servers[i]) + (i == 2));
    }
    policy_rig_renew(&f);
    ck_assert_int_eq(policy_rig_pick(&f, 1), 2);
    ck_assert_int_eq(policy_rig_pick(&f, 1), -1);
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *t = tcase_create("all");
    tcase_add_loop_test(t, without_servers_none_is_picked, 0, POLICIES);
    tcase_add_loop_test(t, if_all_refuse_none_is_picked, 0, POLICIES);
    tcase_add_loop_test(t, if_all_are_full_none_is_picked, 0, POLICIES);
    tcase_add_loop_test(t, the_only_server_that_does_not_refuse_is_picked, 0, POLICIES);
    tcase_add_loop_test(t, a_server_that_is_down_gets_nothing_until_it_is_up, 0, POLICIES);
    tcase_add_loop_test(t, a_share_grows_with_time, 0, POLICIES);
    tcase_add_loop_test(t, a_server_in_slow_start_is_picked_if_it_is_the_only_one, 0, POLICIES);
    tcase_add_loop_test(t, one_of_a_thousand_is_acquired_at_the_first_try, 0, POLICIES);
    tcase_add_loop_test(t, a_new_state_has_the_present_weights_and_sessions, 0, POLICIES);
    suite_add_tcase(s, t);
    return suite_main(s);
}
