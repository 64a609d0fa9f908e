#include <stdlib.h>

#include "balance/passive_check.h"
#include "suite.h"

#define FAILS  3
#define WINDOW 100 /* ms */

static struct server *server;

static void begin(void)
{
    const struct config_server conf = { .name = (char *)"s", .weight = 1 };
    server = server_new(&conf, NULL);
    ck_assert_ptr_nonnull(server);
}

static void end(void)
{
    server_free(server);
}

static bool fails_at(uint64_t now)
{
    return passive_check_count(server, now, FAILS, WINDOW);
}

START_TEST(so_many_failures_in_time_are_enough)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(1050));
    ck_assert(fails_at(1099));
}
END_TEST

START_TEST(a_window_that_is_over_does_not_count)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(1050));
    ck_assert(!fails_at(1100));
    ck_assert(!fails_at(1101));
    ck_assert(fails_at(1102));
}
END_TEST

START_TEST(a_clock_that_is_a_little_behind_begins_no_window)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(999)); /* another worker's */
    ck_assert(fails_at(998));
}
END_TEST

START_TEST(with_max_fails_0_no_failure_counts)
{
    for (uint64_t now = 1; now < 100; now++)
        ck_assert(!passive_check_count(server, now, 0, WINDOW));
}
END_TEST

START_TEST(out_until_its_time_and_then_for_one_trial)
{
    passive_check_take_out(server, 1000);
    ck_assert(passive_check_is_out(server));
    ck_assert(!server_is_usable(server, 999));
    ck_assert(!passive_check_trial_begin(server, 999));
    ck_assert(server_is_usable(server, 1000));
    ck_assert(passive_check_trial_begin(server, 1000));
    ck_assert(!server_is_usable(server, 1001)); /* for nobody else */
    ck_assert(!passive_check_trial_begin(server, 1001));
    ck_assert(passive_check_is_out(server));
}
END_TEST

START_TEST(a_trial_that_reaches_it_brings_it_back)
{
    passive_check_take_out(server, 1000);
    passive_check_trial_begin(server, 1000);
    ck_assert(passive_check_trial_passed(server, 1005));
    ck_assert(!passive_check_is_out(server));
    ck_assert(server_is_usable(server, 1005));
    ck_assert(passive_check_trial_begin(server, 1005)); /* anybody may */
    ck_assert(passive_check_trial_begin(server, 1005));
}
END_TEST

START_TEST(a_trial_that_fails_keeps_it_out)
{
    passive_check_take_out(server, 1000);
    passive_check_trial_begin(server, 1000);
    ck_assert(passive_check_trial_failed(server, 1005, 2005));
    ck_assert(!server_is_usable(server, 2004));
    ck_assert(passive_check_trial_begin(server, 2005));
}
END_TEST

START_TEST(a_trial_that_is_left_goes_to_the_next)
{
    passive_check_take_out(server, 1000);
    passive_check_trial_begin(server, 1000);
    passive_check_trial_cancel(server);
    ck_assert(passive_check_is_out(server));
    ck_assert(passive_check_trial_begin(server, 1001));
}
END_TEST

START_TEST(a_connect_from_before_is_no_trial)
{
    passive_check_take_out(server, 1000);
    ck_assert(!passive_check_trial_passed(server, 999));
    ck_assert(!passive_check_trial_failed(server, 999, 1999));
    ck_assert(!passive_check_trial_passed(server, 1000)); /* nobody has been sent to try it */
    ck_assert(!passive_check_trial_failed(server, 1000, 2000));
    ck_assert(passive_check_trial_begin(server, 1000));
}
END_TEST

/* Two workers: one has begun a trial of a time that the other has ended meanwhile. */
START_TEST(a_trial_of_former_times_blocks_nobody)
{
    passive_check_take_out(server, 1000);
    passive_check_trial_begin(server, 1000);
    passive_check_take_out(server, 2000);
    ck_assert(!passive_check_trial_failed(server, 1500, 2500));
    ck_assert(server_is_usable(server, 2000));
    ck_assert(passive_check_trial_begin(server, 2000));
}
END_TEST

START_TEST(forgiven_it_has_no_past)
{
    fails_at(1000);
    fails_at(1001);
    passive_check_take_out(server, 1100);
    passive_check_reset(server);
    ck_assert(!passive_check_is_out(server));
    ck_assert(server_is_usable(server, 1001));
    ck_assert(!fails_at(1002));
}
END_TEST

START_TEST(a_refusal_of_one_client_alone_is_not_the_servers)
{
    ck_assert(!passive_check_refuses_all(server, 7, 1000, WINDOW));
    ck_assert(!passive_check_refuses_all(server, 7, 1001, WINDOW));
    ck_assert(passive_check_refuses_all(server, 8, 1002, WINDOW));
    ck_assert(passive_check_refuses_all(server, 8, 1099, WINDOW));
    ck_assert(!passive_check_refuses_all(server, 8, 1100, WINDOW)); /* of another time */
    ck_assert(passive_check_refuses_all(server, 7, 1101, WINDOW));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passive_check");
    TCase *t = tcase_create("passive_check");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, so_many_failures_in_time_are_enough);
    tcase_add_test(t, a_window_that_is_over_does_not_count);
    tcase_add_test(t, a_clock_that_is_a_little_behind_begins_no_window);
    tcase_add_test(t, with_max_fails_0_no_failure_counts);
    tcase_add_test(t, out_until_its_time_and_then_for_one_trial);
    tcase_add_test(t, a_trial_that_reaches_it_brings_it_back);
    tcase_add_test(t, a_trial_that_fails_keeps_it_out);
    tcase_add_test(t, a_trial_that_is_left_goes_to_the_next);
    tcase_add_test(t, a_connect_from_before_is_no_trial);
    tcase_add_test(t, a_trial_of_former_times_blocks_nobody);
    tcase_add_test(t, forgiven_it_has_no_past);
    tcase_add_test(t, a_refusal_of_one_client_alone_is_not_the_servers);
    suite_add_tcase(s, t);
    return suite_main(s);
}
