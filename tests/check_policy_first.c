#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;

static void make(size_t count, uint64_t limit)
{
    policy_rig_open(&f, &policy_first, NULL, count);
    for (size_t i = 0; i < count; i++)
        policy_rig_set_limit(&f, i, limit);
}

START_TEST(servers_are_filled_in_order)
{
    make(100, 3);
    for (long n = 0; n < 300; n++)
        ck_assert_int_eq(policy_rig_pick(&f, 0), n / 3);
    ck_assert_int_eq(policy_rig_pick(&f, 0), -1);
    policy_rig_close(&f);
}
END_TEST

START_TEST(the_first_is_picked_as_soon_as_it_has_room)
{
    make(10, 2);
    for (int n = 0; n < 15; n++)
        policy_rig_pick(&f, 0);
    policy_rig_release(&f, 5);
    policy_rig_release(&f, 2);
    ck_assert_int_eq(policy_rig_pick(&f, 0), 2);
    ck_assert_int_eq(policy_rig_pick(&f, 0), 5);
    ck_assert_int_eq(policy_rig_pick(&f, 0), 7);
    policy_rig_close(&f);
}
END_TEST

START_TEST(a_server_that_refuses_is_skipped)
{
    make(100, 1);
    f.refuses[0] = true;
    f.refuses[1] = true;
    ck_assert_int_eq(policy_rig_pick(&f, 0), 2);
    f.refuses[0] = false;
    ck_assert_int_eq(policy_rig_pick(&f, 0), 0);
    policy_rig_close(&f);
}
END_TEST

START_TEST(full_servers_are_not_tried)
{
    make(1000, 1);
    for (int n = 0; n < 1000; n++)
        policy_rig_pick(&f, 0);
    ck_assert_uint_eq(f.asked, 1000);
    ck_assert_int_eq(policy_rig_pick(&f, 0), -1);
    ck_assert_uint_eq(f.asked, 1000);
    policy_rig_close(&f);
}
END_TEST

static void *come_and_go(void *arg)
{
    for (int n = 0; n < 5000; n++) {
        size_t i = (size_t)policy_rig_pick(arg, 0);
        if (n % 100 < 90) /* 2,000 of 2,400 slots stay acquired */
            policy_rig_release(arg, i);
    }
    return NULL;
}

START_TEST(after_concurrent_changes_all_room_is_found)
{
    make(600, 4);
    policy_rig_run(&f, 4, come_and_go);
    for (int n = 0; n < 400; n++) {
        size_t expected = 0;
        while (server_is_full(f.servers[expected]))
            expected++;
        ck_assert_int_eq(policy_rig_pick(&f, 0), (long)expected);
    }
    policy_rig_close(&f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy_first");
    TCase *t = tcase_create("first");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, servers_are_filled_in_order);
    tcase_add_test(t, the_first_is_picked_as_soon_as_it_has_room);
    tcase_add_test(t, a_server_that_refuses_is_skipped);
    tcase_add_test(t, full_servers_are_not_tried);
    tcase_add_test(t, after_concurrent_changes_all_room_is_found);
    suite_add_tcase(s, t);
    return suite_main(s);
}
