#include "session/session_id.h"

#include "suite.h"

static uint64_t first_at(time_t s, long ns)
{
    const struct timespec at = { .tv_sec = s, .tv_nsec = ns };
    _Atomic uint64_t last = session_id_start(&at);
    return session_id_next(&last);
}

/* 2026-11-29T01:08:34Z */
#define NOW 1795914514

START_TEST(a_later_process_begins_above_the_ids_of_a_million_sessions_a_second)
{
    ck_assert_uint_eq(first_at(NOW + 1, 0) - first_at(NOW, 0), 1000000);
    ck_assert_uint_eq(first_at(NOW, 1000) - first_at(NOW, 0), 1);
}
END_TEST

START_TEST(ids_have_14_digits_or_more_and_are_exact_in_json)
{
    ck_assert_uint_eq(first_at(NOW, 0),
                      28689000000000 + 1000000ULL * (NOW - 1767225600 - 28689000) + 1);
    ck_assert_uint_ge(first_at(NOW, 0), 10000000000000);
    ck_assert_uint_lt(first_at(10760000000, 0), 1ULL << 53); /* in the year 2310 */
}
END_TEST

START_TEST(a_clock_that_is_not_set_begins_with_the_least_id)
{
    ck_assert_uint_eq(first_at(0, 0), SESSION_ID_MIN);
    ck_assert_uint_eq(first_at(1767225600, 0), SESSION_ID_MIN);
    ck_assert_uint_eq(first_at(-1, 0), SESSION_ID_MIN);
}
END_TEST

START_TEST(ids_that_no_session_had_are_recognized)
{
    const struct timespec at = { .tv_sec = NOW };
    _Atomic uint64_t last = session_id_start(&at);
    uint64_t id = session_id_next(&last);
    ck_assert(session_id_was_given(id, &last));
    ck_assert(session_id_was_given(id - 1, &last)); /* perhaps by a process before */
    ck_assert(!session_id_was_given(id + 1, &last));
    ck_assert(!session_id_was_given(1, &last));
    ck_assert(!session_id_was_given(0, &last));
    ck_assert(!session_id_was_given(SESSION_ID_MIN - 1, &last));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session_id");
    TCase *c = tcase_create("ids");
    tcase_add_test(c, a_later_process_begins_above_the_ids_of_a_million_sessions_a_second);
    tcase_add_test(c, ids_have_14_digits_or_more_and_are_exact_in_json);
    tcase_add_test(c, a_clock_that_is_not_set_begins_with_the_least_id);
    tcase_add_test(c, ids_that_no_session_had_are_recognized);
    suite_add_tcase(s, c);
    return suite_main(s);
}
