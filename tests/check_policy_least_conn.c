#include <stdlib.h>

#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;

static void make(const unsigned *weights, size_t count)
{
    policy_rig_open(&f, &policy_least_conn, weights, count);
}

static void expect_visits(const char *order)
{
    for (int round = 0; round < 3; round++)
        for (const char *c = order; *c != '\0'; c++)
            ck_assert_int_eq(policy_rig_visit(&f, 0), *c - 'a');
}

/* Whether i has fewer sessions for its weight than j. */
static bool is_lighter(size_t i, size_t j)
{
    return server_active(f.servers[i]) * server_weight(f.servers[j]) <
           server_active(f.servers[j]) * server_weight(f.servers[i]);
}

START_TEST(the_server_with_the_fewest_sessions_is_next)
{
    const unsigned weights[] = { 3, 1, 7, 256, 20, 5, 5 };
    make(weights, 7);
    srand(1);
    for (int n = 0; n < 5000; n++) {
        bool lightest[7];
        for (size_t i = 0; i < 7; i++) {
            lightest[i] = true;
            for (size_t j = 0; j < 7; j++)
                lightest[i] &= !is_lighter(j, i);
        }
        ck_assert(lightest[policy_rig_pick(&f, 0)]);
        size_t i = (size_t)rand() % 7;
        if (server_active(f.servers[i]) > 0)
            policy_rig_release(&f, i);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(idle_servers_take_turns_by_weight)
{
    make((const unsigned[]){ 4, 4, 4 }, 3);
    expect_visits("abc");
    policy_rig_close(&f);
    make((const unsigned[]){ 5, 1, 1 }, 3);
    expect_visits("aaabcaa");
    policy_rig_close(&f);
}
END_TEST

START_TEST(turns_are_exact_in_the_long_run)
{
    const unsigned weights[] = { 256, 1, 100, 37, 5 };
    unsigned got[5] = { 0 };
    make(weights, 5);
    for (int n = 0; n < 399 * 10; n++)
        got[policy_rig_visit(&f, 0)]++;
    for (int i = 0; i < 5; i++)
        ck_assert_uint_eq(got[i], weights[i] * 10);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_that_was_busy_does_not_make_up_for_missed_turns)
{
    unsigned got = 0;
    make(NULL, 3);
    ck_assert_int_eq(policy_rig_pick(&f, 0), 0);
    for (int n = 0; n < 1000; n++)
        ck_assert_int_ne(policy_rig_visit(&f, 0), 0);
    policy_rig_release(&f, 0);
    for (int n = 0; n < 30; n++)
        got += policy_rig_visit(&f, 0) == 0;
    ck_assert_uint_ge(got, 10);
    ck_assert_uint_le(got, 11);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_new_state_continues_the_turns)
{
    make(NULL, 3);
    for (long n = 0; n < 30; n++) {
        ck_assert_int_eq(policy_rig_visit(&f, 0), n % 3);
        policy_rig_renew(&f);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(servers_that_refuse_are_skipped_in_order)
{
    make(NULL, 1000);
    for (size_t i = 0; i < 1000; i++)
        for (size_t n = 0; n < i % 100; n++)
            server_acquire(f.servers[i], SERVER_ANY_COUNT);
    for (size_t i = 0; i < 1000; i++)
        policy_rig_changed(&f, i);
    for (size_t i = 0; i < 1000; i += 100)
        f.refuses[i] = true; /* all idle servers */
    ck_assert_int_eq(policy_rig_pick(&f, 0), 1);
    ck_assert_uint_eq(f.asked, 11);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_change_of_a_weight_counts_at_once)
{
    make(NULL, 2);
    for (int n = 0; n < 20; n++)
        policy_rig_pick(&f, 0);
    policy_rig_set_weight(&f, 1, 3);
    for (int n = 0; n < 20; n++)
        ck_assert_int_eq(policy_rig_pick(&f, 0), 1);
    policy_rig_close(&f);
}
END_TEST

static bool another_is_faster;

/* The first time another worker acquires a slot on the same server at the last moment. */
static enum server_acquired acquire_late(const struct pick_request *r, struct server *srv,
                                         uint64_t expected)
{
    (void)r;
    if (another_is_faster)
        server_acquire(srv, SERVER_ANY_COUNT);
    another_is_faster = false;
    return server_acquire(srv, expected);
}

START_TEST(a_slot_acquired_by_another_worker_meanwhile_counts)
{
    for (size_t count = 2; count < 10; count++) {
        const struct pick_request r = { .now = 1000000 };
        another_is_faster = true;
        make(NULL, count);
        ck_assert_int_eq(policy_least_conn.pick(f.state, &r, acquire_late), 1);
        ck_assert_uint_eq(server_active(f.servers[0]), 1);
        policy_rig_close(&f);
    }
}
END_TEST

static void *pick_many(void *arg)
{
    for (int i = 0; i < 2500; i++)
        ck_assert_int_ge(policy_rig_pick(arg, 0), 0);
    return NULL;
}

/* Each server had the fewest sessions for its weight when it got its last one. */
START_TEST(picks_are_exact_over_all_workers)
{
    const unsigned weights[] = { 3, 2, 1, 7, 1, 11, 256, 2 };
    make(weights, 8);
    policy_rig_run(&f, 4, pick_many);
    uint64_t sum = 0;
    for (size_t i = 0; i < 8; i++) {
        uint64_t active = server_active(f.servers[i]);
        sum += active;
        for (size_t j = 0; j < 8 && active > 0; j++)
            ck_assert_uint_le((active - 1) * weights[j], server_active(f.servers[j]) * weights[i]);
    }
    ck_assert_uint_eq(sum, 10000);
    policy_rig_close(&f);
}
END_TEST

static void *come_and_go(void *arg)
{
    size_t mine[16];
    size_t count = 0;
    for (int n = 0; n < 5000; n++) {
        if (count == 16 || (count > 0 && n % 3 == 0))
            policy_rig_release(arg, mine[--count]);
        else
            mine[count++] = (size_t)policy_rig_pick(arg, 0);
        if (n % 100 == 0)
            policy_rig_set_limit(arg, (size_t)n / 100 % 13, n % 200 == 0 ? 100 : 0);
    }
    while (count > 4)
        policy_rig_release(arg, mine[--count]);
    return NULL;
}

START_TEST(after_concurrent_changes_the_order_is_right)
{
    make(NULL, 13);
    for (int round = 0; round < 20; round++) {
        policy_rig_run(&f, 4, come_and_go);
        for (int n = 0; n < 13; n++) {
            long i = policy_rig_pick(&f, 0);
            for (size_t j = 0; j < 13; j++)
                ck_assert_uint_le(server_active(f.servers[i]) - 1, server_active(f.servers[j]));
        }
    }
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_least_conn");
    TCase *t = tcase_create("least conn");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_server_with_the_fewest_sessions_is_next);
    tcase_add_test(t, idle_servers_take_turns_by_weight);
    tcase_add_test(t, turns_are_exact_in_the_long_run);
    tcase_add_test(t, a_server_that_was_busy_does_not_make_up_for_missed_turns);
    tcase_add_test(t, a_new_state_continues_the_turns);
    tcase_add_test(t, servers_that_refuse_are_skipped_in_order);
    tcase_add_test(t, a_change_of_a_weight_counts_at_once);
    tcase_add_test(t, a_slot_acquired_by_another_worker_meanwhile_counts);
    tcase_add_test(t, picks_are_exact_over_all_workers);
    tcase_add_test(t, after_concurrent_changes_the_order_is_right);
    suite_add_tcase(s, t);
    return suite_main(s);
}
