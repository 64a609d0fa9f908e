#include <string.h>

#include "balance/queue.h"
#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;

static void make(const unsigned *weights, size_t count)
{
    policy_rig_open(&f, &policy_round_robin, weights, count);
}

static void expect_order(const unsigned *weights, size_t count, const char *order)
{
    make(weights, count);
    for (int round = 0; round < 3; round++)
        for (const char *c = order; *c != '\0'; c++)
            ck_assert_int_eq(policy_rig_pick(&f, 0), *c - 'a');
    policy_rig_close(&f);
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
    make(weights, 5);
    for (int i = 0; i < 399; i++)
        policy_rig_pick(&f, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(server_active(f.servers[i]), weights[i]);
    policy_rig_close(&f);
}
END_TEST

/* In each turn every server gains its weight; the one with the highest balance, the first of
 * several, pays the sum. */
static size_t smooth_turn(const unsigned *weights, int64_t *gained, size_t count)
{
    size_t best = 0;
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        gained[i] += weights[i];
        sum += weights[i];
        if (gained[i] > gained[best])
            best = i;
    }
    gained[best] -= sum;
    return best;
}

START_TEST(the_order_is_that_of_nginx)
{
    enum {
        SERVERS = 60
    };
    static const unsigned kinds[] = { 3, 256, 1, 7, 3, 12, 100 };
    for (size_t step = 1; step < 7; step++) {
        unsigned weights[SERVERS];
        int64_t gained[SERVERS] = { 0 };
        for (size_t i = 0; i < SERVERS; i++)
            weights[i] = kinds[i * i * step % 7];
        make(weights, SERVERS);
        for (int turn = 0; turn < 10000; turn++)
            ck_assert_int_eq(policy_rig_visit(&f, 0), smooth_turn(weights, gained, SERVERS));
        policy_rig_close(&f);
    }
}
END_TEST

/* A comparison of all servers for each turn would take longer than the timeout. */
START_TEST(a_state_for_60000_servers_is_computed_before_the_timeout)
{
    make(NULL, POLICY_RIG_MAX);
    policy_rig_renew(&f);
    policy_rig_renew(&f);
    policy_rig_close(&f);
}
END_TEST

START_TEST(the_turns_of_a_server_that_refuses_are_shared_evenly)
{
    make(NULL, 4);
    f.refuses[0] = true;
    for (int i = 0; i < 3000; i++)
        policy_rig_pick(&f, 0);
    for (int i = 1; i < 4; i++)
        ck_assert_uint_eq(server_active(f.servers[i]), 1000);
    policy_rig_close(&f);
}
END_TEST

static enum server_acquired acquire_second(const struct pick_request *r, struct server *srv,
                                           uint64_t expected)
{
    (void)r;
    (void)expected;
    return policy_rig_index(srv) == 1 ? SERVER_ACQUIRED : SERVER_REFUSED;
}

/* One of two servers is dead: half of the sessions try it first and then go to the other. */
START_TEST(second_attempts_do_not_alternate_with_first_attempts)
{
    static const struct pool_tried tried = { .count = 0 };
    const struct pick_request retry = { .tried = &tried };
    unsigned first[2] = { 0 };
    make(NULL, 2);
    for (int i = 0; i < 100; i++) {
        long server = policy_rig_pick(&f, 0);
        first[server]++;
        if (server == 0)
            ck_assert_int_eq(policy_round_robin.pick(f.state, &retry, acquire_second), 1);
    }
    ck_assert_uint_eq(first[0], 50);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_new_state_continues_the_rotation)
{
    make(NULL, 3);
    for (long n = 0; n < 30; n++) {
        ck_assert_int_eq(policy_rig_pick(&f, 0), n % 3);
        policy_rig_renew(&f);
    }
    policy_rig_close(&f);
}
END_TEST

/* Weights without a common divisor: the order is 128,000 turns long. */
START_TEST(a_pick_without_usable_servers_is_bounded)
{
    static unsigned weights[1000];
    for (unsigned i = 0; i < 1000; i++)
        weights[i] = i % 256 + 1;
    make(weights, 1000);
    for (int i = 0; i < 1000; i++)
        f.refuses[i] = true;
    ck_assert_int_eq(policy_rig_pick(&f, 0), -1);
    ck_assert_uint_le(f.asked, 4096 + 1000);
    policy_rig_close(&f);
}
END_TEST

static void *pick_many(void *arg)
{
    for (int i = 0; i < 6000; i++)
        policy_rig_pick(arg, 0);
    return NULL;
}

START_TEST(shares_are_exact_over_all_workers)
{
    make((const unsigned[]){ 3, 2, 1 }, 3);
    policy_rig_run(&f, 4, pick_many);
    ck_assert_uint_eq(server_active(f.servers[0]), 12000);
    ck_assert_uint_eq(server_active(f.servers[1]), 8000);
    ck_assert_uint_eq(server_active(f.servers[2]), 4000);
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_round_robin");
    TCase *t = tcase_create("round robin");
    tcase_add_test(t, equal_servers_take_turns);
    tcase_add_test(t, weights_are_spread_smoothly);
    tcase_add_test(t, shares_are_exact_over_a_round);
    tcase_add_test(t, the_order_is_that_of_nginx);
    tcase_add_test(t, a_state_for_60000_servers_is_computed_before_the_timeout);
    tcase_add_test(t, the_turns_of_a_server_that_refuses_are_shared_evenly);
    tcase_add_test(t, second_attempts_do_not_alternate_with_first_attempts);
    tcase_add_test(t, a_new_state_continues_the_rotation);
    tcase_add_test(t, a_pick_without_usable_servers_is_bounded);
    tcase_add_test(t, shares_are_exact_over_all_workers);
    suite_add_tcase(s, t);
    return suite_main(s);
}
