#include "session/tally.h"
#include "suite.h"

static struct tallies ts;
static struct backend one = { .serial = 1 };
static struct backend two = { .serial = 1 + TALLY_LISTS }; /* in the same list */

static uint64_t sent(struct backend *b)
{
    return atomic_load(&b->sent);
}

static void open_tallies(void)
{
    tallies_init(&ts);
    atomic_store(&one.sent, 0);
    atomic_store(&two.sent, 0);
}

START_TEST(sessions_of_a_server_share_a_tally)
{
    struct tally *a = tally_get(&ts, &one);
    struct tally *b = tally_get(&ts, &two);
    ck_assert_ptr_ne(a, b);
    ck_assert_ptr_eq(tally_get(&ts, &one), a);
    ck_assert_ptr_eq(tally_get(&ts, &two), b);
    for (int i = 0; i < 2; i++) {
        tally_put(a);
        tally_put(b);
    }
    ck_assert(LIST_EMPTY(&ts.list[one.serial]));
}
END_TEST

START_TEST(what_moves_is_handed_over_when_it_is_due_and_not_before)
{
    struct tally *t = tally_get(&ts, &one);
    ck_assert_uint_eq(tallies_due(&ts), UINT64_MAX);
    tally_add(&ts, t, 0, 0, 1000);
    ck_assert_uint_eq(tallies_due(&ts), UINT64_MAX);
    tally_add(&ts, t, 5, 0, 1000);
    uint64_t due = tallies_due(&ts);
    ck_assert(due > 1000 && due <= 2000);
    tally_add(&ts, t, 6, 0, due - 1);
    tallies_flush(&ts, due - 1);
    ck_assert_uint_eq(sent(&one), 0);
    tallies_flush(&ts, due);
    ck_assert_uint_eq(sent(&one), 11);
    ck_assert_uint_eq(tallies_due(&ts), UINT64_MAX);
    tally_put(t);
    ck_assert_uint_eq(sent(&one), 11);
}
END_TEST

START_TEST(what_a_session_has_moved_is_known_when_it_has_ended)
{
    struct tally *t = tally_get(&ts, &one);
    ck_assert_ptr_eq(tally_get(&ts, &one), t);
    tally_add(&ts, t, 5, 7, 1000);
    tally_put(t);
    ck_assert_uint_eq(sent(&one), 5);
    ck_assert_uint_eq(atomic_load(&one.received), 7);
    ck_assert_uint_eq(tallies_due(&ts), UINT64_MAX);
    tally_put(t);
}
END_TEST

START_TEST(without_a_tally_nothing_is_counted)
{
    tally_add(&ts, NULL, 1, 1, 1000);
    tally_put(NULL);
    ck_assert_uint_eq(tallies_due(&ts), UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tally");
    TCase *t = tcase_create("tally");
    tcase_add_checked_fixture(t, open_tallies, NULL);
    tcase_add_test(t, sessions_of_a_server_share_a_tally);
    tcase_add_test(t, what_moves_is_handed_over_when_it_is_due_and_not_before);
    tcase_add_test(t, what_a_session_has_moved_is_known_when_it_has_ended);
    tcase_add_test(t, without_a_tally_nothing_is_counted);
    suite_add_tcase(s, t);
    return suite_main(s);
}
