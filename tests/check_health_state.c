#include "balance/health_state.h"
#include "suite.h"

#define RISE 2
#define FALL 3

static struct health_state state;
static uint64_t now;

static void nothing_known(void)
{
    now = 1000;
    health_state_init(&state, true);
}

/* Adds results, "+" passed and "-" failed. expected: the state after each, "^" up and "v" down. */
static void expect(const char *results, const char *expected)
{
    for (; *results != '\0'; results++, expected++) {
        bool was = state.up;
        bool changed = health_state_add(&state, *results == '+', RISE, FALL, ++now);
        ck_assert_int_eq(state.up, *expected == '^');
        ck_assert_int_eq(changed, state.up != was);
        if (changed)
            ck_assert_uint_eq(state.changed, now);
    }
}

START_TEST(the_first_result_decides_alone)
{
    expect("-", "v");
    nothing_known();
    expect("+", "^");
}
END_TEST

START_TEST(it_takes_fall_failures_in_a_row_to_go_down)
{
    expect("+--+--+---", "^^^^^^^^^v");
}
END_TEST

START_TEST(it_takes_rise_successes_in_a_row_to_come_up)
{
    expect("-+-+-++", "vvvvvv^");
}
END_TEST

START_TEST(after_a_pause_the_next_result_decides_alone)
{
    expect("++++", "^^^^");
    health_state_unsettle(&state);
    expect("-", "v");
    health_state_unsettle(&state);
    expect("+--", "^^^");
}
END_TEST

START_TEST(checks_are_counted)
{
    expect("++---", "^^^^v");
    ck_assert_uint_eq(state.successes, 2);
    ck_assert_uint_eq(state.failures, 3);
    ck_assert_uint_eq(state.streak, 3);
    ck_assert(!state.passed);
    ck_assert_uint_eq(state.checked, now);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("health_state");
    TCase *t = tcase_create("health_state");
    tcase_add_checked_fixture(t, nothing_known, NULL);
    tcase_add_test(t, the_first_result_decides_alone);
    tcase_add_test(t, it_takes_fall_failures_in_a_row_to_go_down);
    tcase_add_test(t, it_takes_rise_successes_in_a_row_to_come_up);
    tcase_add_test(t, after_a_pause_the_next_result_decides_alone);
    tcase_add_test(t, checks_are_counted);
    suite_add_tcase(s, t);
    return suite_main(s);
}
