#include "relay/busy_poll.h"
#include "suite.h"

#define SPINS 30
#define WAITS 100000u

static struct busy_poll busy_poll;

/* One wait of a worker. Returns whether it spins; `something`: the spinning finds an event. */
static bool wait_once_spins(bool something)
{
    uint32_t spins = busy_poll_begin(&busy_poll);
    if (spins > 0)
        busy_poll_end(&busy_poll, something);
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
    busy_poll_init(&busy_poll, BUSY_POLL_NEVER, SPINS);
    ck_assert_uint_eq(count_busy_polls(WAITS, 1, 1), 0);
}
END_TEST

START_TEST(mode_always_spins_at_each_wait)
{
    busy_poll_init(&busy_poll, BUSY_POLL_ALWAYS, SPINS);
    ck_assert_uint_eq(busy_poll_begin(&busy_poll), SPINS);
    busy_poll_suspend(&busy_poll);
    ck_assert_uint_eq(count_busy_polls(WAITS, 0, 1), WAITS);
}
END_TEST

START_TEST(while_it_pays_each_wait_has_one)
{
    busy_poll_init(&busy_poll, BUSY_POLL_AUTO, SPINS);
    ck_assert_uint_eq(busy_poll_begin(&busy_poll), SPINS);
    busy_poll_end(&busy_poll, true);
    ck_assert_uint_eq(count_busy_polls(WAITS, 1, 1), WAITS);
    ck_assert_uint_gt(count_busy_polls(WAITS, 9, 10), WAITS * 9 / 10);
}
END_TEST

START_TEST(without_success_spins_become_rare)
{
    busy_poll_init(&busy_poll, BUSY_POLL_AUTO, SPINS);
    count_busy_polls(WAITS, 1, 1);
    ck_assert_uint_lt(count_busy_polls(WAITS, 0, 1), WAITS / 500);
    ck_assert_uint_gt(count_busy_polls(WAITS, 0, 1), WAITS / 2000);
}
END_TEST

START_TEST(what_pays_half_the_time_does_not_pay)
{
    busy_poll_init(&busy_poll, BUSY_POLL_AUTO, SPINS);
    ck_assert_uint_lt(count_busy_polls(WAITS, 1, 2), WAITS / 200);
}
END_TEST

START_TEST(what_pays_again_is_found_out)
{
    busy_poll_init(&busy_poll, BUSY_POLL_AUTO, SPINS);
    count_busy_polls(WAITS, 0, 1);
    count_busy_polls(2000, 1, 1);
    ck_assert_uint_eq(count_busy_polls(WAITS, 1, 1), WAITS);
}
END_TEST

START_TEST(accepting_clients_suspends_it)
{
    unsigned n = 0;
    busy_poll_init(&busy_poll, BUSY_POLL_AUTO, SPINS);
    count_busy_polls(100, 1, 1);
    for (unsigned i = 0; i < WAITS; i++) {
        if (i % 5 == 0)
            busy_poll_suspend(&busy_poll);
        n += wait_once_spins(true);
    }
    ck_assert_uint_eq(n, 0);
    count_busy_polls(2000, 1, 1);
    ck_assert_uint_eq(count_busy_polls(WAITS, 1, 1), WAITS);
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
    suite_add_tcase(s, t);
    return suite_main(s);
}
