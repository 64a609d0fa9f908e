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

START_TEST(max_fails_within_the_window_is_enough)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(1050));
    ck_assert(fails_at(1099));
}
END_TEST

START_TEST(failures_of_a_former_window_do_not_count)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(1050));
    ck_assert(!fails_at(1100));
    ck_assert(!fails_at(1101));
    ck_assert(fails_at(1102));
}
END_TEST

START_TEST(a_clock_that_is_slightly_behind_starts_no_window)
{
    ck_assert(!fails_at(1000));
    ck_assert(!fails_at(999)); /* the time of another worker */
    ck_assert(fails_at(998));
}
END_TEST

START_TEST(with_max_fails_0_no_failure_counts)
{
    for (uint64_t now = 1; now < 100; now++)
        ck_assert(!passive_check_count(server, now, 0, WINDOW));
}
END_TEST

START_TEST(after_its_time_out_one_session_probes)
{
    passive_check_take_out(server, 1000);
    ck_assert(passive_check_is_out(server));
    ck_assert(!server_is_usable(server, 999));
    ck_assert(!passive_check_probe_begin(server, 999));
    ck_assert(server_is_usable(server, 1000));
    ck_assert(passive_check_probe_begin(server, 1000));
    ck_assert(!server_is_usable(server, 1001)); /* not for other sessions */
    ck_assert(!passive_check_probe_begin(server, 1001));
    ck_assert(passive_check_is_out(server));
}
END_TEST

START_TEST(a_probe_that_connects_ends_the_time_out)
{
    passive_check_take_out(server, 1000);
    passive_check_probe_begin(server, 1000);
    ck_assert(passive_check_probe_passed(server, 1005));
    ck_assert(!passive_check_is_out(server));
    ck_assert(server_is_usable(server, 1005));
    ck_assert(passive_check_probe_begin(server, 1005)); /* it is no longer out */
    ck_assert(passive_check_probe_begin(server, 1005));
}
END_TEST

START_TEST(a_probe_that_fails_extends_the_time_out)
{
    passive_check_take_out(server, 1000);
    passive_check_probe_begin(server, 1000);
    ck_assert(passive_check_probe_failed(server, 1005, 2005));
    ck_assert(!server_is_usable(server, 2004));
    ck_assert(passive_check_probe_begin(server, 2005));
}
END_TEST

START_TEST(after_a_cancelled_probe_the_next_session_probes)
{
    passive_check_take_out(server, 1000);
    passive_check_probe_begin(server, 1000);
    passive_check_probe_cancel(server);
    ck_assert(passive_check_is_out(server));
    ck_assert(passive_check_probe_begin(server, 1001));
}
END_TEST

START_TEST(a_connect_that_began_before_the_time_out_is_no_probe)
{
    passive_check_take_out(server, 1000);
    ck_assert(!passive_check_probe_passed(server, 999));
    ck_assert(!passive_check_probe_failed(server, 999, 1999));
    ck_assert(!passive_check_probe_passed(server, 1000)); /* no session is probing */
    ck_assert(!passive_check_probe_failed(server, 1000, 2000));
    ck_assert(passive_check_probe_begin(server, 1000));
}
END_TEST

/* One worker begins a probe of a time out that another worker has ended meanwhile. */
START_TEST(a_probe_of_a_former_time_out_blocks_no_session)
{
    passive_check_take_out(server, 1000);
    passive_check_probe_begin(server, 1000);
    passive_check_take_out(server, 2000);
    ck_assert(!passive_check_probe_failed(server, 1500, 2500));
    ck_assert(server_is_usable(server, 2000));
    ck_assert(passive_check_probe_begin(server, 2000));
}
END_TEST

START_TEST(a_reset_forgets_failures)
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

START_TEST(refusals_of_a_single_client_do_not_count)
{
    ck_assert(!passive_check_refuses_all(server, 7, 1000, WINDOW));
    ck_assert(!passive_check_refuses_all(server, 7, 1001, WINDOW));
    ck_assert(passive_check_refuses_all(server, 8, 1002, WINDOW));
    ck_assert(passive_check_refuses_all(server, 8, 1099, WINDOW));
    ck_assert(
        !passive_check_refuses_all(server, 8, 1100, WINDOW)); /* the first refusal is too old */
    ck_assert(passive_check_refuses_all(server, 7, 1101, WINDOW));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("passive_check");
    TCase *t = tcase_create("passive_check");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, max_fails_within_the_window_is_enough);
    tcase_add_test(t, failures_of_a_former_window_do_not_count);
    tcase_add_test(t, a_clock_that_is_slightly_behind_starts_no_window);
    tcase_add_test(t, with_max_fails_0_no_failure_counts);
    tcase_add_test(t, after_its_time_out_one_session_probes);
    tcase_add_test(t, a_probe_that_connects_ends_the_time_out);
    tcase_add_test(t, a_probe_that_fails_extends_the_time_out);
    tcase_add_test(t, after_a_cancelled_probe_the_next_session_probes);
    tcase_add_test(t, a_connect_that_began_before_the_time_out_is_no_probe);
    tcase_add_test(t, a_probe_of_a_former_time_out_blocks_no_session);
    tcase_add_test(t, a_reset_forgets_failures);
    tcase_add_test(t, refusals_of_a_single_client_do_not_count);
    suite_add_tcase(s, t);
    return suite_main(s);
}
