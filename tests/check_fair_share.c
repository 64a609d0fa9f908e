#include "balance/fair_share.h"

#include <stdarg.h>
#include <stdlib.h>

#include "suite.h"

#define MOST 8

static struct fair_share share[MOST];
static size_t count;

static void begin(void)
{
    count = 0;
}

static struct fair_share *add(uint64_t weight, uint64_t active)
{
    share[count] = (struct fair_share){ .weight = weight, .active = active };
    return &share[count++];
}

static void divide(uint64_t coming, bool in_order)
{
    fair_share_divide(share, count, fair_share_sessions(share, count) + coming, in_order);
}

/* The shares; the last argument is -1. */
static void expect(int first, ...)
{
    va_list list;
    size_t i = 0;
    va_start(list, first);
    for (int fair = first; fair >= 0; fair = va_arg(list, int), i++)
        ck_assert_msg(i < count && share[i].fair == (uint64_t)fair, "server %zu: %ju, not %d", i,
                      (uintmax_t)share[i].fair, fair);
    va_end(list);
    ck_assert_uint_eq(i, count);
}

START_TEST(shares_are_in_proportion_to_weights)
{
    begin();
    add(1, 100);
    add(2, 100);
    add(1, 0);
    divide(0, false);
    expect(50, 100, 50, -1);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 50);
    ck_assert_uint_eq(fair_share_excess(&share[0]), 50);
    ck_assert_uint_eq(fair_share_excess(&share[2]), 0);
}
END_TEST

START_TEST(servers_that_have_more_get_the_sessions_that_are_left_over)
{
    begin();
    add(1, 0);
    add(1, 5);
    add(1, 6);
    divide(0, false);
    expect(3, 4, 4, -1);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 3);
    begin();
    add(1, 4);
    add(1, 3);
    add(1, 3);
    divide(0, false);
    expect(4, 3, 3, -1);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 0);
}
END_TEST

START_TEST(a_limit_leaves_more_to_the_others)
{
    begin();
    add(1, 90);
    add(1, 0)->limit = 10;
    add(1, 0)->limit = 35;
    divide(0, false);
    expect(45, 10, 35, -1);
    begin();
    add(1, 90);
    add(1, 0)->limit = 10;
    add(1, 0)->limit = 50;
    divide(0, false);
    expect(40, 10, 40, -1);
}
END_TEST

START_TEST(without_room_nothing_has_to_move)
{
    begin();
    add(1, 30)->limit = 10; /* the limit was lowered */
    add(1, 10)->limit = 10;
    divide(0, false);
    expect(10, 10, -1);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 0);
    share[1].active = 7;
    divide(0, false);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 3);
}
END_TEST

START_TEST(backups_get_what_the_others_cannot_take)
{
    begin();
    add(1, 0)->limit = 20;
    add(1, 50)->backup = true;
    add(3, 0)->backup = true;
    divide(0, false);
    expect(20, 8, 22, -1);
    share[0].weight = 0;
    divide(0, false);
    ck_assert_uint_eq(share[0].fair, SERVER_NO_SHARE);
    ck_assert_uint_eq(share[1].fair, 13);
    share[0] = (struct fair_share){ .weight = 1 };
    divide(0, false);
    expect(50, 0, 0, -1);
}
END_TEST

START_TEST(servers_that_get_no_sessions_do_not_count)
{
    begin();
    add(0, 1000);
    add(1, 10);
    add(1, 0);
    divide(0, false);
    ck_assert_uint_eq(share[0].fair, SERVER_NO_SHARE);
    ck_assert_uint_eq(share[1].fair, 5);
    ck_assert_uint_eq(fair_share_excess(&share[0]), 0);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 5);
}
END_TEST

/* Of 200 sessions 66 were closed and have not come back: nothing more has to move. */
START_TEST(sessions_that_are_coming_keep_the_shares)
{
    begin();
    add(1, 67);
    add(1, 67);
    add(1, 0);
    divide(66, false);
    ck_assert_uint_eq(share[0].fair + share[1].fair + share[2].fair, 200);
    ck_assert_uint_eq(fair_share_to_move(share, count, 66), 0);
    divide(0, false);
    ck_assert_uint_eq(fair_share_to_move(share, count, 0), 44);
}
END_TEST

START_TEST(in_order_the_first_servers_are_filled)
{
    begin();
    add(1, 0)->limit = 30;
    add(5, 40)->limit = 20;
    add(1, 20);
    add(1, 3)->backup = true;
    divide(0, true);
    expect(30, 20, 13, 0, -1);
}
END_TEST

START_TEST(no_session_is_lost_and_no_limit_exceeded)
{
    srand(7);
    for (int round = 0; round < 20000; round++) {
        uint64_t room = 0;
        uint64_t sum = 0;
        bool limited = true;
        begin();
        for (size_t n = (size_t)rand() % MOST + 1; n > 0; n--) {
            struct fair_share *s = add((uint64_t)(rand() % 4) * 256, (uint64_t)(rand() % 500));
            s->limit = rand() % 2 == 0 ? 0 : (uint64_t)(rand() % 300 + 1);
            s->backup = rand() % 3 == 0;
        }
        divide(0, round % 2 == 0);
        for (size_t i = 0; i < count; i++) {
            if (share[i].weight == 0)
                continue;
            limited = limited && share[i].limit != 0;
            room += share[i].limit;
            sum += share[i].fair;
            assert_quietly(share[i].limit == 0 || share[i].fair <= share[i].limit);
        }
        uint64_t sessions = fair_share_sessions(share, count);
        assert_quietly(sum == (limited && room < sessions ? room : sessions));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fair_share");
    TCase *t = tcase_create("fair_share");
    tcase_add_test(t, shares_are_in_proportion_to_weights);
    tcase_add_test(t, servers_that_have_more_get_the_sessions_that_are_left_over);
    tcase_add_test(t, a_limit_leaves_more_to_the_others);
    tcase_add_test(t, without_room_nothing_has_to_move);
    tcase_add_test(t, backups_get_what_the_others_cannot_take);
    tcase_add_test(t, servers_that_get_no_sessions_do_not_count);
    tcase_add_test(t, sessions_that_are_coming_keep_the_shares);
    tcase_add_test(t, in_order_the_first_servers_are_filled);
    tcase_add_test(t, no_session_is_lost_and_no_limit_exceeded);
    suite_add_tcase(s, t);
    return suite_main(s);
}
