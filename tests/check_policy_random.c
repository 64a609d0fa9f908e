#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;

static void make(const unsigned *weights, size_t count)
{
    policy_rig_open(&f, &policy_random, weights, count);
}

/* Chi-square of the picks against the weights. */
static double deviation(const unsigned *got, const unsigned *weights, size_t count)
{
    double sum_got = 0;
    double sum_weights = 0;
    double deviation = 0;
    for (size_t i = 0; i < count; i++) {
        sum_got += got[i];
        sum_weights += weights[i];
    }
    for (size_t i = 0; i < count; i++) {
        double expected = sum_got * weights[i] / sum_weights;
        deviation += (got[i] - expected) * (got[i] - expected) / expected;
    }
    return deviation;
}

/* With 9 degrees of freedom chance alone gives more than 80 once in 10^13 runs. */
START_TEST(idle_servers_are_drawn_in_proportion_to_their_weights)
{
    const unsigned weights[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 256 };
    unsigned got[10] = { 0 };
    make(weights, 10);
    for (int n = 0; n < 200000; n++)
        got[policy_rig_visit(&f, 0)]++;
    ck_assert_double_lt(deviation(got, weights, 10), 80);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_change_of_weights_counts_for_the_next_draw)
{
    const unsigned weights[10] = { 9, 1, 1, 1, 20, 1, 1, 1, 1, 1 };
    unsigned got[10] = { 0 };
    make(NULL, 10);
    policy_rig_set_weight(&f, 0, 9);
    policy_rig_set_weight(&f, 4, 20);
    for (int n = 0; n < 100000; n++)
        got[policy_rig_visit(&f, 0)]++;
    ck_assert_double_lt(deviation(got, weights, 10), 80);
    policy_rig_close(&f);
}
END_TEST

/* With one draw a third of the servers would be more than 10 sessions off 100, and one 30 off. */
START_TEST(the_better_of_two_draws_keeps_the_load_even)
{
    make(NULL, 100);
    for (int n = 0; n < 10000; n++)
        policy_rig_pick(&f, 0);
    for (size_t i = 0; i < 100; i++) {
        ck_assert_uint_ge(server_active(f.servers[i]), 90);
        ck_assert_uint_le(server_active(f.servers[i]), 110);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(two_draws_give_two_servers)
{
    make((const unsigned[]){ 256, 1 }, 2);
    for (int n = 0; n < 1000; n++) {
        f.asked = 0;
        f.refuses[0] = n % 2 == 0;
        f.refuses[1] = !f.refuses[0];
        ck_assert_int_ge(policy_rig_visit(&f, 0), 0);
        ck_assert_uint_le(f.asked, 2);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(servers_that_are_down_are_not_drawn)
{
    make(NULL, 1000);
    for (size_t i = 0; i < 1000; i++)
        policy_rig_set_up(&f, i, i % 500 == 7);
    for (int n = 0; n < 1000; n++)
        ck_assert_int_eq(policy_rig_visit(&f, 0) % 500, 7);
    ck_assert_uint_eq(f.asked, 1000);
    policy_rig_close(&f);
}
END_TEST

static void *change(void *arg)
{
    struct policy_rig *policy_rig = arg;
    for (size_t n = 0; n < 5000; n++) {
        policy_rig_set_weight(policy_rig, n % 7, (unsigned)n % 256 + 1);
        policy_rig_set_up(policy_rig, n % 5, n % 2 == 0);
        policy_rig_visit(policy_rig, 0);
    }
    for (size_t i = 0; i < 10; i++) {
        policy_rig_set_up(policy_rig, i, true);
        policy_rig_set_weight(policy_rig, i, (unsigned)i + 1);
    }
    return NULL;
}

START_TEST(after_concurrent_changes_the_chances_are_right)
{
    const unsigned weights[10] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
    unsigned got[10] = { 0 };
    make(NULL, 10);
    policy_rig_run(&f, 4, change);
    for (int n = 0; n < 100000; n++)
        got[policy_rig_visit(&f, 0)]++;
    for (size_t i = 0; i < 10; i++)
        ck_assert_uint_eq(server_weight(f.servers[i]), weights[i]);
    ck_assert_double_lt(deviation(got, weights, 10), 80);
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_random");
    TCase *t = tcase_create("random");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, idle_servers_are_drawn_in_proportion_to_their_weights);
    tcase_add_test(t, a_change_of_weights_counts_for_the_next_draw);
    tcase_add_test(t, the_better_of_two_draws_keeps_the_load_even);
    tcase_add_test(t, two_draws_give_two_servers);
    tcase_add_test(t, servers_that_are_down_are_not_drawn);
    tcase_add_test(t, after_concurrent_changes_the_chances_are_right);
    suite_add_tcase(s, t);
    return suite_main(s);
}
