#include "relay/busy_poll.h"
#include "suite.h"

#define SPINS 30
#define WAITS 300000u

/* Trials sleep in less than one of 100 waits. */
#define ALMOST_ALL (WAITS * 99 / 100)

static struct busy_poll busy_poll;

/* The CPU time of the thread, and what a wake-up adds to it. */
static uint64_t spent;
static uint64_t cost_asleep;
static uint64_t cost_polling;

static uint64_t read_spent(void)
{
    return spent;
}

static void begin(enum busy_poll_mode mode, uint64_t asleep, uint64_t polling)
{
    spent = 0;
    cost_asleep = asleep;
    cost_polling = polling;
    busy_poll_init(&busy_poll, mode, SPINS, read_spent);
}

/* One wait of a worker. Returns whether it spins; `something`: the spinning finds an event. */
static bool wait_once_spins(bool something)
{
    uint32_t spins = busy_poll_begin(&busy_poll);
    if (spins > 0)
        busy_poll_end(&busy_poll, something);
    spent += spins > 0 ? cost_polling : cost_asleep;
    busy_poll_count(&busy_poll, 1);
    return spins > 0;
}

/* Returns how many of `waits` waits spin, if `found` of `of` find an event. */
static unsigned count_busy_polls(unsigned waits, unsigned found, unsigned of)
{
    unsigned n = 0;
    for (unsigned i = 0; i < waits; i++)
        n += wait_once_spins(i % of < found);
    return n;
}

START_TEST(mode_never_does_not_spin)
{
    begin(BUSY_POLL_NEVER, 1000, 1000);
    ck_assert_uint_eq(count_busy_polls(WAITS, 1, 1), 0);
}
END_TEST

START_TEST(mode_always_spins_at_each_wait)
{
    begin(BUSY_POLL_ALWAYS, 1000, 1000);
    ck_assert_uint_eq(busy_poll_begin(&busy_poll), SPINS);
    busy_poll_suspend(&busy_poll);
    ck_assert_uint_eq(count_busy_polls(WAITS, 0, 1), WAITS);
}
END_TEST

START_TEST(while_it_pays_each_wait_has_one)
{
    begin(BUSY_POLL_AUTO, 1000, 1000);
    ck_assert_uint_eq(busy_poll_begin(&busy_poll), SPINS);
    busy_poll_end(&busy_poll, true);
    ck_assert_uint_gt(count_busy_polls(WAITS, 1, 1), ALMOST_ALL);
    ck_assert_uint_gt(count_busy_polls(WAITS, 9, 10), WAITS * 9 / 10);
}
END_TEST

START_TEST(without_success_spins_become_rare)
{
    begin(BUSY_POLL_AUTO, 1000, 1000);
    count_busy_polls(WAITS, 1, 1);
    ck_assert_uint_lt(count_busy_polls(WAITS, 0, 1), WAITS / 500);
    ck_assert_uint_gt(count_busy_polls(WAITS, 0, 1), WAITS / 2000);
}
END_TEST

START_TEST(what_pays_half_the_time_does_not_pay)
{
    begin(BUSY_POLL_AUTO, 1000, 1000);
    ck_assert_uint_lt(count_busy_polls(WAITS, 1, 2), WAITS / 200);
}
END_TEST

START_TEST(what_pays_again_is_found_out)
{
    begin(BUSY_POLL_AUTO, 1000, 1000);
    count_busy_polls(WAITS, 0, 1);
    count_busy_polls(2000, 1, 1);
    ck_assert_uint_gt(count_busy_polls(WAITS, 1, 1), ALMOST_ALL);
}
END_TEST

START_TEST(accepting_clients_suspends_it)
{
    unsigned n = 0;
    begin(BUSY_POLL_AUTO, 1000, 1000);
    count_busy_polls(100, 1, 1);
    for (unsigned i = 0; i < WAITS; i++) {
        if (i % 5 == 0)
            busy_poll_suspend(&busy_poll);
        n += wait_once_spins(true);
    }
    ck_assert_uint_eq(n, 0);
    count_busy_polls(2000, 1, 1);
    ck_assert_uint_gt(count_busy_polls(WAITS, 1, 1), ALMOST_ALL);
}
END_TEST

START_TEST(what_costs_clearly_more_than_sleeping_is_not_done)
{
    begin(BUSY_POLL_AUTO, 1000, 1063);
    count_busy_polls(2000, 1, 1);
    ck_assert_uint_lt(count_busy_polls(WAITS, 1, 1), WAITS / 100);
}
END_TEST

START_TEST(what_costs_hardly_more_than_sleeping_is_done)
{
    begin(BUSY_POLL_AUTO, 1000, 1062);
    ck_assert_uint_gt(count_busy_polls(WAITS, 1, 1), ALMOST_ALL);
}
END_TEST

START_TEST(the_cost_is_tried_again)
{
    begin(BUSY_POLL_AUTO, 1000, 1500);
    count_busy_polls(WAITS, 1, 1);
    cost_polling = 900;
    count_busy_polls(WAITS, 1, 1);
    ck_assert_uint_gt(count_busy_polls(WAITS, 1, 1), ALMOST_ALL);
    cost_polling = 1500;
    count_busy_polls(WAITS, 1, 1);
    ck_assert_uint_lt(count_busy_polls(WAITS, 1, 1), WAITS / 100);
}
END_TEST

/* Other programs take the processor's cache, an interrupt comes: most windows cost more. */
START_TEST(one_undisturbed_window_of_each_kind_is_enough)
{
    unsigned polls = 0;
    begin(BUSY_POLL_AUTO, 1000, 800);
    for (unsigned i = 0; i < WAITS; i++) {
        polls += wait_once_spins(true);
        if (i % 1000 > 400)
            spent += i % 7 * 100;
    }
    ck_assert_uint_gt(polls, ALMOST_ALL);
}
END_TEST

START_TEST(costs_are_compared_for_each_event)
{
    unsigned polls = 0;
    begin(BUSY_POLL_AUTO, 1000, 2000);
    for (unsigned i = 0; i < WAITS; i++) {
        bool spins = wait_once_spins(true);
        if (spins)
            busy_poll_count(&busy_poll, 2); /* three in all, asleep one */
        polls += spins;
    }
    ck_assert_uint_gt(polls, ALMOST_ALL);
}
END_TEST

START_TEST(without_events_there_is_no_trial)
{
    begin(BUSY_POLL_AUTO, 1000, 1500);
    count_busy_polls(100, 1, 1);
    count_busy_polls(WAITS, 0, 1);
    ck_assert_uint_eq(busy_poll.trial.window, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("busy_poll");
    TCase *t = tcase_create("busy_poll");
    tcase_add_test(t, mode_never_does_not_spin);
    tcase_add_test(t, mode_always_spins_at_each_wait);
    tcase_add_test(t, while_it_pays_each_wait_has_one);
    tcase_add_test(t, without_success_spins_become_rare);
    tcase_add_test(t, what_pays_half_the_time_does_not_pay);
    tcase_add_test(t, what_pays_again_is_found_out);
    tcase_add_test(t, accepting_clients_suspends_it);
    tcase_add_test(t, what_costs_clearly_more_than_sleeping_is_not_done);
    tcase_add_test(t, what_costs_hardly_more_than_sleeping_is_done);
    tcase_add_test(t, the_cost_is_tried_again);
    tcase_add_test(t, one_undisturbed_window_of_each_kind_is_enough);
    tcase_add_test(t, costs_are_compared_for_each_event);
    tcase_add_test(t, without_events_there_is_no_trial);
    suite_add_tcase(s, t);
    return suite_main(s);
}
