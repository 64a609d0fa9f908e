#include <stdlib.h>

#include "base/hash.h"
#include "policy_rig.h"
#include "suite.h"

#define KEYS 30000

static struct policy_rig f;
static const struct server *home[KEYS]; /* where each key was */

static void make(const unsigned *weights, size_t count)
{
    policy_rig_open(&f, &policy_hash, weights, count);
}

static uint64_t key(size_t n)
{
    return hash_splitmix64(7, n);
}

static const struct server *server_of(size_t n)
{
    long i = policy_rig_visit(&f, key(n));
    assert_quietly(i >= 0);
    return f.servers[i];
}

static void remember(void)
{
    for (size_t n = 0; n < KEYS; n++)
        home[n] = server_of(n);
}

/* The part of the keys that moved, in percent. */
static double moved(void)
{
    size_t count = 0;
    for (size_t n = 0; n < KEYS; n++)
        count += server_of(n) != home[n];
    return 100.0 * (double)count / KEYS;
}

START_TEST(a_key_stays_with_its_server)
{
    make(NULL, 10);
    remember();
    ck_assert_double_eq(moved(), 0);
    policy_rig_renew(&f);
    ck_assert_double_eq(moved(), 0);
    policy_rig_close(&f);
}
END_TEST

static size_t keys_of[POLICY_RIG_MAX];

/* So many that chance is 0.3 % of the keys of one of ten servers. */
static void count_keys(void)
{
    for (size_t i = 0; i < f.count; i++)
        keys_of[i] = 0;
    for (size_t n = 0; n < 800000; n++)
        keys_of[policy_rig_visit(&f, n)]++;
}

START_TEST(equal_servers_have_equally_many_keys_within_one_percent)
{
    make(NULL, 10);
    count_keys();
    for (size_t i = 0; i < 10; i++) {
        ck_assert_uint_ge(keys_of[i], 79200);
        ck_assert_uint_le(keys_of[i], 80800);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(servers_have_keys_in_proportion_to_their_weights)
{
    const unsigned weights[] = { 10, 20, 40, 30 };
    make(weights, 4);
    count_keys();
    for (size_t i = 0; i < 4; i++) {
        ck_assert_uint_ge(keys_of[i], weights[i] * 7920);
        ck_assert_uint_le(keys_of[i], weights[i] * 8080);
    }
    policy_rig_close(&f);
}
END_TEST

START_TEST(the_order_in_the_file_does_not_matter)
{
    make((const unsigned[]){ 1, 2, 3, 4, 5, 6, 7, 8 }, 8);
    remember();
    for (size_t i = 0; i < 4; i++) {
        struct server *srv = f.servers[i];
        f.servers[i] = f.servers[7 - i];
        f.servers[7 - i] = srv;
    }
    policy_rig_renew(&f);
    ck_assert_double_eq(moved(), 0);
    for (size_t i = 0; i < 6; i++)
        f.refuses[i] = true; /* second choices are the same, too */
    for (size_t n = 0; n < KEYS; n++)
        home[n] = server_of(n);
    struct server *srv = f.servers[6];
    f.servers[6] = f.servers[7];
    f.servers[7] = srv;
    policy_rig_renew(&f);
    ck_assert_double_eq(moved(), 0);
    policy_rig_close(&f);
}
END_TEST

/* Other machines have the same table, so it must not change from one version to the next. */
START_TEST(keys_are_on_the_same_servers_on_every_machine)
{
    make((const unsigned[]){ 1, 2, 3 }, 3);
    char servers[33] = "";
    for (size_t n = 0; n < 32; n++)
        servers[n] = (char)('a' + policy_rig_visit(&f, n));
    ck_assert_str_eq(servers, "cbbccacbbacbcccbbcacbbbbccccabba");
    policy_rig_close(&f);
}
END_TEST

/* Removes the last server: its keys must move; a few more do. */
static double excess_of_removal(size_t count)
{
    make(NULL, count);
    remember();
    f.count--;
    policy_rig_renew(&f);
    double excess = moved() - 100.0 / (double)count;
    f.count++;
    policy_rig_close(&f);
    return excess;
}

static double excess_of_addition(size_t count)
{
    make(NULL, count + 1);
    f.count--;
    policy_rig_renew(&f);
    remember();
    f.count++;
    policy_rig_renew(&f);
    double excess = moved() - 100.0 / (double)(count + 1);
    policy_rig_close(&f);
    return excess;
}

START_TEST(adding_and_removing_a_server_moves_few_keys_of_others)
{
    ck_assert_double_lt(excess_of_removal(10), 0.5);
    ck_assert_double_lt(excess_of_addition(10), 0.5);
    ck_assert_double_lt(excess_of_removal(100), 0.75);
    ck_assert_double_lt(excess_of_addition(100), 0.75);
    ck_assert_double_lt(excess_of_removal(1000), 0.75);
    ck_assert_double_lt(excess_of_addition(1000), 0.75);
}
END_TEST

START_TEST(a_change_of_a_weight_moves_few_keys)
{
    static unsigned weights[100];
    for (size_t i = 0; i < 100; i++)
        weights[i] = 100;
    make(weights, 10);
    remember();
    policy_rig_set_weight(&f, 0, 101);
    policy_rig_renew(&f);
    ck_assert_double_lt(moved(), 0.2); /* the minimum is 0.09 */
    policy_rig_close(&f);
    make(weights, 100);
    remember();
    policy_rig_set_weight(&f, 0, 101);
    policy_rig_renew(&f);
    ck_assert_double_lt(moved(), 0.2); /* the minimum is 0.01 */
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_down_moves_only_its_own_keys_and_evenly)
{
    size_t got[POLICY_RIG_MAX] = { 0 };
    size_t lost = 0;
    make(NULL, 10);
    remember();
    policy_rig_set_up(&f, 3, false);
    for (size_t n = 0; n < KEYS; n++) {
        long i = policy_rig_visit(&f, key(n));
        if (home[n] != f.servers[3])
            assert_quietly(f.servers[i] == home[n]);
        else
            got[i]++;
        lost += home[n] == f.servers[3];
    }
    for (size_t i = 0; i < 10; i++) {
        if (i == 3)
            continue;
        ck_assert_uint_ge(got[i], lost / 9 * 8 / 10);
        ck_assert_uint_le(got[i], lost / 9 * 12 / 10);
    }
    policy_rig_set_up(&f, 3, true);
    ck_assert_double_eq(moved(), 0);
    policy_rig_close(&f);
}
END_TEST

START_TEST(in_slow_start_keys_return_gradually_and_stay)
{
    make(NULL, 4);
    remember();
    server_start_slow_start(f.servers[2], f.now, 10000);
    bool back[1000] = { false };
    size_t count = 0;
    for (int step = 0; step <= 10; step++) {
        for (size_t n = 0; n < 1000; n++) {
            bool there = server_of(n) == home[n];
            ck_assert(there || (home[n] == f.servers[2] && !back[n]));
            count += there && !back[n];
            back[n] = there;
        }
        f.now += 1000;
        if (step == 5)
            ck_assert_uint_lt(count, 950);
    }
    ck_assert_uint_eq(count, 1000);
    policy_rig_close(&f);
}
END_TEST

START_TEST(keys_of_full_servers_reach_every_other_server)
{
    make(NULL, 1000);
    for (size_t i = 0; i < 1000; i++)
        policy_rig_set_limit(&f, i, 1);
    for (size_t n = 0; n < 1000; n++)
        ck_assert_int_ge(policy_rig_pick(&f, key(n)), 0);
    ck_assert_int_eq(policy_rig_pick(&f, key(1000)), -1);
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_hash");
    TCase *t = tcase_create("hash");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, a_key_stays_with_its_server);
    tcase_add_test(t, equal_servers_have_equally_many_keys_within_one_percent);
    tcase_add_test(t, servers_have_keys_in_proportion_to_their_weights);
    tcase_add_test(t, the_order_in_the_file_does_not_matter);
    tcase_add_test(t, keys_are_on_the_same_servers_on_every_machine);
    tcase_add_test(t, adding_and_removing_a_server_moves_few_keys_of_others);
    tcase_add_test(t, a_change_of_a_weight_moves_few_keys);
    tcase_add_test(t, a_server_down_moves_only_its_own_keys_and_evenly);
    tcase_add_test(t, in_slow_start_keys_return_gradually_and_stay);
    tcase_add_test(t, keys_of_full_servers_reach_every_other_server);
    suite_add_tcase(s, t);
    return suite_main(s);
}
