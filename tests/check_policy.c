#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "balance/policy.h"
#include "suite.h"

static bool take_any(void *arg, size_t i)
{
    (void)arg;
    (void)i;
    return true;
}

/* arg: a string with '.' for each server that can be had. */
static bool take_marked(void *arg, size_t i)
{
    return ((const char *)arg)[i] == '.';
}

static void *make(const unsigned *weights, size_t count)
{
    void *state = policy_round_robin.create(weights, count);
    ck_assert_ptr_nonnull(state);
    return state;
}

static void expect_order(const unsigned *weights, size_t count, const char *order)
{
    void *state = make(weights, count);
    for (int round = 0; round < 3; round++)
        for (const char *c = order; *c != '\0'; c++)
            ck_assert_int_eq(policy_round_robin.pick(state, false, take_any, NULL), *c - 'a');
    policy_round_robin.destroy(state);
}

START_TEST(equal_servers_take_turns)
{
    expect_order((const unsigned[]){ 7, 7, 7 }, 3, "abc");
}
END_TEST

START_TEST(weights_are_spread_smoothly)
{
    expect_order((const unsigned[]){ 5, 1, 1 }, 3, "aabacaa");
    expect_order((const unsigned[]){ 2, 1 }, 2, "aba");
    expect_order((const unsigned[]){ 4, 2 }, 2, "aba"); /* 4:2 is 2:1 */
}
END_TEST

START_TEST(shares_are_exact_over_a_round)
{
    const unsigned weights[] = { 256, 1, 100, 37, 5 };
    unsigned got[5] = { 0 };
    void *state = make(weights, 5);
    for (int i = 0; i < 399; i++)
        got[policy_round_robin.pick(state, false, take_any, NULL)]++;
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(got[i], weights[i]);
    policy_round_robin.destroy(state);
}
END_TEST

START_TEST(the_turns_of_one_that_is_gone_are_shared_fairly)
{
    unsigned got[4] = { 0 };
    void *state = make((const unsigned[]){ 1, 1, 1, 1 }, 4);
    for (int i = 0; i < 3000; i++)
        got[policy_round_robin.pick(state, false, take_marked, (void *)"x...")]++;
    ck_assert_uint_eq(got[0], 0);
    for (int i = 1; i < 4; i++)
        ck_assert_uint_eq(got[i], 1000);
    policy_round_robin.destroy(state);
}
END_TEST

/* One of two is dead: half of the sessions meet it, and go to the other. */
START_TEST(second_attempts_do_not_step_in_time_with_first_ones)
{
    unsigned first[2] = { 0 };
    void *state = make((const unsigned[]){ 1, 1 }, 2);
    for (int i = 0; i < 100; i++) {
        long server = policy_round_robin.pick(state, false, take_any, NULL);
        first[server]++;
        if (server == 0)
            ck_assert_int_eq(policy_round_robin.pick(state, true, take_marked, (void *)"x."), 1);
    }
    ck_assert_uint_eq(first[0], 50);
    policy_round_robin.destroy(state);
}
END_TEST

START_TEST(the_last_one_left_is_found)
{
    char marks[1001];
    unsigned weights[1000];
    memset(marks, 'x', sizeof marks);
    for (int i = 0; i < 1000; i++)
        weights[i] = 1;
    marks[777] = '.';
    void *state = make(weights, 1000);
    ck_assert_int_eq(policy_round_robin.pick(state, false, take_marked, marks), 777);
    marks[777] = 'x';
    ck_assert_int_eq(policy_round_robin.pick(state, false, take_marked, marks), -1);
    policy_round_robin.destroy(state);
}
END_TEST

START_TEST(no_servers_is_no_server)
{
    void *state = make(NULL, 0);
    ck_assert_int_eq(policy_round_robin.pick(state, false, take_any, NULL), -1);
    policy_round_robin.destroy(state);
}
END_TEST

struct crowd {
    void *state;
    _Atomic unsigned got[3];
};

static void *pick_many(void *arg)
{
    struct crowd *c = arg;
    for (int i = 0; i < 6000; i++)
        atomic_fetch_add(&c->got[policy_round_robin.pick(c->state, false, take_any, NULL)], 1);
    return NULL;
}

START_TEST(shares_are_exact_over_all_workers)
{
    static struct crowd c;
    pthread_t threads[4];
    c.state = make((const unsigned[]){ 3, 2, 1 }, 3);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, pick_many, &c), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(c.got[0], 12000);
    ck_assert_uint_eq(c.got[1], 8000);
    ck_assert_uint_eq(c.got[2], 4000);
    policy_round_robin.destroy(c.state);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *t = tcase_create("round robin");
    tcase_add_test(t, equal_servers_take_turns);
    tcase_add_test(t, weights_are_spread_smoothly);
    tcase_add_test(t, shares_are_exact_over_a_round);
    tcase_add_test(t, the_turns_of_one_that_is_gone_are_shared_fairly);
    tcase_add_test(t, second_attempts_do_not_step_in_time_with_first_ones);
    tcase_add_test(t, the_last_one_left_is_found);
    tcase_add_test(t, no_servers_is_no_server);
    tcase_add_test(t, shares_are_exact_over_all_workers);
    suite_add_tcase(s, t);
    return suite_main(s);
}
