/* What every policy promises. */
#include <stdlib.h>

#include "balance/policy.h"
#include "policy_rig.h"
#include "suite.h"

#define POLICIES (CONFIG_BALANCE_FIRST + 1)

static struct policy_rig f;

static void make(int policy, size_t count)
{
    policy_rig_open(&f, policy_find((enum config_balance)policy), NULL, count);
}

START_TEST(no_servers_is_no_server)
{
    make(_i, 0);
    ck_assert_int_eq(policy_rig_pick(&f, 1), -1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(all_refusing_is_no_server)
{
    make(_i, 100);
    for (size_t i = 0; i < 100; i++)
        f.refuses[i] = true;
    ck_assert_int_eq(policy_rig_pick(&f, 1), -1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(all_full_is_no_server)
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

START_TEST(the_last_one_that_does_not_refuse_is_found)
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

/* The part of the sessions that the first of two servers gets. */
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

/* A quarter of the weight is 1 against 4, or a quarter of the server's keys, or of all sessions, as
 * the policy works. */
START_TEST(a_share_grows_while_time_goes_by)
{
    static const double quarter[POLICIES] = { 0.2, 0.2, 0.2, 0.125, 0.25 };
    static const double whole[POLICIES] = { 0.5, 0.5, 0.5, 0.5, 1 };
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

START_TEST(one_whose_share_grows_is_better_than_none)
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

START_TEST(one_of_a_thousand_is_found_at_the_first_question)
{
    make(_i, 1000);
    for (uint64_t n = 0; n < 1000; n++)
        ck_assert_int_ge(policy_rig_pick(&f, n), 0);
    ck_assert_uint_eq(f.asked, 1000);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_new_state_knows_weights_and_sessions)
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
    tcase_add_loop_test(t, no_servers_is_no_server, 0, POLICIES);
    tcase_add_loop_test(t, all_refusing_is_no_server, 0, POLICIES);
    tcase_add_loop_test(t, all_full_is_no_server, 0, POLICIES);
    tcase_add_loop_test(t, the_last_one_that_does_not_refuse_is_found, 0, POLICIES);
    tcase_add_loop_test(t, a_server_that_is_down_gets_nothing_until_it_is_up, 0, POLICIES);
    tcase_add_loop_test(t, a_share_grows_while_time_goes_by, 0, POLICIES);
    tcase_add_loop_test(t, one_whose_share_grows_is_better_than_none, 0, POLICIES);
    tcase_add_loop_test(t, one_of_a_thousand_is_found_at_the_first_question, 0, POLICIES);
    tcase_add_loop_test(t, a_new_state_knows_weights_and_sessions, 0, POLICIES);
    suite_add_tcase(s, t);
    return suite_main(s);
}
