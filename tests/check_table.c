#include <string.h>

#include "balance/table.h"
#include "pool_rig.h"
#include "suite.h"

#define A "server = 10.0.0.1:80 name=a"
#define B "server = 10.0.0.2:80 name=b"
#define C "server = [2001:db8::3]:80 name=c"
#define D "server = unix:/run/d.sock name=d"

static uint64_t all_of(const char *lines)
{
    struct pool_rig rig;
    pool_rig_open(&rig, lines);
    uint64_t all = pool_table(rig.pool).all;
    pool_rig_close(&rig);
    return all;
}

static void expect_same(const char *a, const char *b)
{
    ck_assert_msg(all_of(a) == all_of(b), "differs:\n%s\n%s", a, b);
}

static void expect_other(const char *a, const char *b)
{
    ck_assert_msg(all_of(a) != all_of(b), "is the same:\n%s\n%s", a, b);
}

#define HASH   "balance = hash\n"
#define FIRST  "balance = first\n"
#define RANDOM "balance = random\n"
#define LEAST  "balance = least_conn\n"

static const char *const policies[] = { "", HASH, RANDOM, LEAST };
#define POLICIES (sizeof policies / sizeof *policies)

static void expect_all(void (*expect)(const char *, const char *), const char *a, const char *b)
{
    for (size_t i = 0; i < POLICIES; i++) {
        char left[1024];
        char right[1024];
        snprintf(left, sizeof left, "%s%s", policies[i], a);
        snprintf(right, sizeof right, "%s%s", policies[i], b);
        expect(left, right);
    }
}

START_TEST(the_order_of_lines_does_not_count)
{
    expect_all(expect_same, A "\n" B "\n" C " weight=3\n" D " backup\n",
               D " backup\n" C " weight=3\n" A "\n" B "\n");
}
END_TEST

START_TEST(an_address_a_weight_and_a_backup_count)
{
    expect_all(expect_other, A "\n" B "\n", A "\n" C "\n");
    expect_all(expect_other, A "\n" B "\n", A "\n" B "\n" C "\n");
    expect_all(expect_other, A "\n" B "\n", A "\n" B " weight=2\n");
    expect_all(expect_other, A " weight=2\n" B "\n", A "\n" B " weight=2\n");
    expect_all(expect_other, A "\n" B "\n", A "\n" B " backup\n");
    expect_all(expect_other, A "\n", A " backup\n");
    expect_all(expect_other, A "\n", "server = 10.0.0.1:81 name=a\n");
}
END_TEST

START_TEST(limits_states_and_checks_do_not_count)
{
    expect_all(expect_same, A "\n" B "\n",
               A " max_connections=3\n" B " state=drain check_address=10.9.9.9:1\n");
}
END_TEST

START_TEST(a_name_counts_for_hash_only)
{
    const char *other = "server = 10.0.0.1:80 name=x\n" B "\n";
    char hashed[2][256];
    snprintf(hashed[0], sizeof hashed[0], HASH "%s", A "\n" B "\n");
    snprintf(hashed[1], sizeof hashed[1], HASH "%s", other);
    expect_other(hashed[0], hashed[1]);
    expect_same(A "\n" B "\n", other);
}
END_TEST

START_TEST(the_policy_and_the_key_count)
{
    for (size_t i = 0; i < POLICIES; i++)
        for (size_t k = 0; k < i; k++) {
            char left[256];
            char right[256];
            snprintf(left, sizeof left, "%s%s", policies[i], A "\n" B "\n");
            snprintf(right, sizeof right, "%s%s", policies[k], A "\n" B "\n");
            expect_other(left, right);
        }
    expect_other(HASH A "\n", HASH "hash_key = source_port\n" A "\n");
    expect_same(HASH A "\n", HASH "hash_key = source\n" A "\n");
}
END_TEST

START_TEST(proportional_weights_are_the_same_without_hash)
{
    expect_same(A " weight=2\n" B " weight=4\n", A "\n" B " weight=2\n");
    expect_same(A " weight=7\n" B " weight=7 backup\n", A "\n" B " backup\n");
}
END_TEST

START_TEST(for_first_the_order_and_the_limits_count)
{
    expect_other(FIRST A "\n" B "\n", FIRST B "\n" A "\n");
    expect_other(FIRST A "\n" B "\n", FIRST A " max_connections=3\n" B "\n");
    expect_same(FIRST A "\n" B "\n", FIRST A " weight=2\n" B "\n");
    expect_same(FIRST A "\n" B " backup\n" C "\n", FIRST A "\n" C "\n" B " backup\n");
}
END_TEST

START_TEST(servers_that_come_at_run_time_count_as_those_of_the_file)
{
    for (size_t i = 0; i < POLICIES; i++) {
        struct pool_rig rig;
        char lines[256];
        char name[] = "b";
        struct config_server line = { .name = name, .weight = 1, .state = CONFIG_STATE_READY };
        const char *why = NULL;
        ck_assert_int_eq(addr_parse(&line.addr, "10.0.0.2:80", &why), 0);
        snprintf(lines, sizeof lines, "%s" A "\n", policies[i]);
        pool_rig_open(&rig, lines);
        ck_assert_int_eq(pool_add_server(rig.pool, &line), 0);
        snprintf(lines, sizeof lines, "%s" B "\n" A "\n", policies[i]);
        ck_assert_uint_eq(pool_table(rig.pool).all, all_of(lines));
        pool_set_weight(rig.pool, pool_rig_server(&rig, "b"), 5, rig.now);
        snprintf(lines, sizeof lines, "%s" B " weight=5\n" A "\n", policies[i]);
        ck_assert_uint_eq(pool_table(rig.pool).all, all_of(lines));
        pool_rig_close(&rig);
    }
}
END_TEST

/* The addresses of a name, in two orders. */
START_TEST(the_order_of_answers_does_not_count)
{
    struct pool_answer answer[3] = { { .weight = 0 } };
    const char *why = NULL;
    uint64_t all[2];
    ck_assert_int_eq(addr_parse(&answer[0].addr, "10.0.0.1:80", &why), 0);
    ck_assert_int_eq(addr_parse(&answer[1].addr, "10.0.0.2:80", &why), 0);
    answer[2] = answer[0];
    for (size_t i = 0; i < 2; i++) {
        struct pool_rig rig;
        pool_rig_open(&rig, HASH "server = web.example:80\n");
        ck_assert_int_eq(pool_resolved(rig.pool, 0, &answer[i], 2), 1);
        all[i] = pool_table(rig.pool).all;
        pool_rig_close(&rig);
    }
    ck_assert_uint_eq(all[0], all[1]);
}
END_TEST

START_TEST(a_renamed_server_hashes_as_one_that_had_the_name_from_the_start)
{
    struct pool_rig rig;
    const char *lines = HASH "server = 10.0.0.1:80 name=x\n" B "\n" C "\n";
    pool_rig_open(&rig, HASH A "\n" B "\n" C "\n");
    uint64_t before = pool_table(rig.pool).all;
    const struct config_pool *conf = pool_rig_conf(&rig, lines);
    struct pool_update *update = NULL;
    ck_assert_int_eq(pool_prepare(rig.pool, conf, &update), 0);
    pool_abort(update);
    pool_set_weight(rig.pool, pool_rig_server(&rig, "b"), 2, rig.now);
    pool_set_weight(rig.pool, pool_rig_server(&rig, "b"), 1, rig.now);
    ck_assert_uint_eq(pool_table(rig.pool).all, before); /* the aborted name is forgotten */
    ck_assert_int_eq(pool_rig_put(&rig, conf), 0);
    ck_assert_uint_eq(pool_table(rig.pool).all, all_of(lines));
    pool_rig_close(&rig);
}
END_TEST

START_TEST(a_server_that_is_down_changes_only_the_present_table)
{
    for (size_t i = 0; i < POLICIES; i++) {
        struct pool_rig rig;
        char lines[256];
        snprintf(lines, sizeof lines, "%s" A "\n" B "\n", policies[i]);
        pool_rig_open(&rig, lines);
        const struct table before = pool_table(rig.pool);
        ck_assert_uint_eq(before.all, table_now(&before));
        pool_set_up(rig.pool, pool_rig_server(&rig, "a"), false, rig.now);
        pool_rig_tidy(&rig);
        const struct table down = pool_table(rig.pool);
        ck_assert_uint_eq(down.all, before.all);
        ck_assert_uint_ne(table_now(&down), before.all);
        pool_set_up(rig.pool, pool_rig_server(&rig, "a"), true, rig.now);
        pool_set_state(rig.pool, pool_rig_server(&rig, "b"), CONFIG_STATE_MAINT, rig.now);
        const struct table other = pool_table(rig.pool);
        ck_assert_uint_eq(other.all, before.all);
        ck_assert_uint_ne(table_now(&other), table_now(&down));
        pool_set_state(rig.pool, pool_rig_server(&rig, "b"), CONFIG_STATE_READY, rig.now);
        const struct table again = pool_table(rig.pool);
        ck_assert_uint_eq(table_now(&again), before.all);
        pool_rig_close(&rig);
    }
}
END_TEST

/* Values that were written down once: they must not depend on the machine or the build. If balance
 * = hash itself changes, so must its value. */
START_TEST(fingerprints_are_the_same_on_every_machine)
{
    char text[TABLE_TEXT_SIZE];
    const char *lines = A "\n" B " weight=2\n" C "\n" D " backup\n";
    char hashed[256];
    snprintf(hashed, sizeof hashed, HASH "%s", lines);
    ck_assert_str_eq(table_print(all_of(lines), text), "921109cbee7c78d4");
    ck_assert_str_eq(table_print(all_of(hashed), text), "61aa8df8745cf72e");
    ck_assert_str_eq(table_print(0x1a, text), "000000000000001a");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("table");
    TCase *t = tcase_create("table");
    tcase_add_test(t, the_order_of_lines_does_not_count);
    tcase_add_test(t, an_address_a_weight_and_a_backup_count);
    tcase_add_test(t, limits_states_and_checks_do_not_count);
    tcase_add_test(t, a_name_counts_for_hash_only);
    tcase_add_test(t, the_policy_and_the_key_count);
    tcase_add_test(t, proportional_weights_are_the_same_without_hash);
    tcase_add_test(t, for_first_the_order_and_the_limits_count);
    tcase_add_test(t, servers_that_come_at_run_time_count_as_those_of_the_file);
    tcase_add_test(t, the_order_of_answers_does_not_count);
    tcase_add_test(t, a_renamed_server_hashes_as_one_that_had_the_name_from_the_start);
    tcase_add_test(t, a_server_that_is_down_changes_only_the_present_table);
    tcase_add_test(t, fingerprints_are_the_same_on_every_machine);
    suite_add_tcase(s, t);
    return suite_main(s);
}
