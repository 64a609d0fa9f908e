#include "session/server_stats.h"
#include "suite.h"

static struct server_stats_table table;
static struct server one = { .serial = 1 };
static struct server two = { .serial = 1 + SERVER_STATS_LISTS }; /* in the same list */

static uint64_t sent(struct server *srv)
{
    return counter_get(&srv->counter[SERVER_SENT]);
}

static void open_table(void)
{
    server_stats_table_init(&table);
    counter_set(&one.counter[SERVER_SENT], 0);
    counter_set(&two.counter[SERVER_SENT], 0);
}

START_TEST(sessions_of_a_server_share_its_stats)
{
    struct server_stats *a = server_stats_get(&table, &one);
    struct server_stats *b = server_stats_get(&table, &two);
    ck_assert_ptr_ne(a, b);
    ck_assert_ptr_eq(server_stats_get(&table, &one), a);
    ck_assert_ptr_eq(server_stats_get(&table, &two), b);
    for (int i = 0; i < 2; i++) {
        server_stats_put(a);
        server_stats_put(b);
    }
    ck_assert(LIST_EMPTY(&table.list[one.serial]));
}
END_TEST

START_TEST(bytes_are_flushed_when_due_and_not_before)
{
    struct server_stats *t = server_stats_get(&table, &one);
    ck_assert_uint_eq(server_stats_table_due(&table), UINT64_MAX);
    server_stats_add(&table, t, 0, 0, 1000);
    ck_assert_uint_eq(server_stats_table_due(&table), UINT64_MAX);
    server_stats_add(&table, t, 5, 0, 1000);
    uint64_t due = server_stats_table_due(&table);
    ck_assert(due > 1000 && due <= 2000);
    server_stats_add(&table, t, 6, 0, due - 1);
    server_stats_table_flush(&table, due - 1);
    ck_assert_uint_eq(sent(&one), 0);
    server_stats_table_flush(&table, due);
    ck_assert_uint_eq(sent(&one), 11);
    ck_assert_uint_eq(server_stats_table_due(&table), UINT64_MAX);
    server_stats_put(t);
    ck_assert_uint_eq(sent(&one), 11);
}
END_TEST

START_TEST(what_a_session_has_moved_is_known_when_it_has_ended)
{
    struct server_stats *t = server_stats_get(&table, &one);
    ck_assert_ptr_eq(server_stats_get(&table, &one), t);
    server_stats_add(&table, t, 5, 7, 1000);
    server_stats_put(t);
    ck_assert_uint_eq(sent(&one), 5);
    ck_assert_uint_eq(counter_get(&one.counter[SERVER_RECEIVED]), 7);
    ck_assert_uint_eq(server_stats_table_due(&table), UINT64_MAX);
    server_stats_put(t);
}
END_TEST

START_TEST(without_stats_nothing_is_counted)
{
    server_stats_add(&table, NULL, 1, 1, 1000);
    server_stats_put(NULL);
    ck_assert_uint_eq(server_stats_table_due(&table), UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("server_stats");
    TCase *t = tcase_create("server_stats");
    tcase_add_checked_fixture(t, open_table, NULL);
    tcase_add_test(t, sessions_of_a_server_share_its_stats);
    tcase_add_test(t, bytes_are_flushed_when_due_and_not_before);
    tcase_add_test(t, what_a_session_has_moved_is_known_when_it_has_ended);
    tcase_add_test(t, without_stats_nothing_is_counted);
    suite_add_tcase(s, t);
    return suite_main(s);
}
