#include "balance/tournament.h"
#include "policy_rig.h"
#include "suite.h"

static struct policy_rig f;
static struct tournament *tree;
static _Atomic size_t compared;

/* The fewest sessions first, then the order of the servers. */
static uint64_t sessions(const struct server *srv, uint64_t now)
{
    (void)now;
    return server_active(srv);
}

static bool before(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj)
{
    (void)arg;
    atomic_fetch_add_explicit(&compared, 1, memory_order_relaxed);
    return si != sj ? si < sj : i < j;
}

static void (*interrupt)(void); /* called in the middle of a match, as another thread */

static bool before_interrupted(const void *arg, size_t i, uint64_t si, size_t j, uint64_t sj)
{
    void (*other)(void) = interrupt;
    if (other != NULL) {
        interrupt = NULL;
        other();
    }
    return before(arg, i, si, j, sj);
}

static void make(size_t count)
{
    const struct tournament_rules rules = { .standing = sessions, .before = before_interrupted };
    policy_rig_open(&f, &policy_round_robin, NULL, count);
    tree = tournament_new(f.servers, count, &rules);
    ck_assert_ptr_nonnull(tree);
}

static void end(void)
{
    tournament_free(tree);
    policy_rig_close(&f);
}

static void set(size_t i, uint64_t active)
{
    atomic_store(&f.servers[i]->active, active);
    tournament_changed(tree, i, 0);
}

static long best(void)
{
    struct tournament_search s;
    uint64_t standing = 0;
    tournament_search(&s, tree, 0);
    long i = tournament_best(&s, &standing);
    if (i >= 0)
        ck_assert_uint_eq(standing, server_active(f.servers[i]));
    return i;
}

START_TEST(the_best_is_right_after_every_change)
{
    static const size_t counts[] = { 1, 2, 3, 5, 8, 13, 100 };
    make(counts[_i]);
    ck_assert_int_eq(best(), 0);
    for (uint64_t n = 0; n < 2000; n++) {
        set((size_t)n * 7 % counts[_i], n * n % 101);
        size_t expected = 0;
        for (size_t i = 1; i < counts[_i]; i++)
            if (server_active(f.servers[i]) < server_active(f.servers[expected]))
                expected = i;
        ck_assert_int_eq(best(), (long)expected);
    }
    end();
}
END_TEST

START_TEST(without_servers_there_is_no_best)
{
    make(0);
    ck_assert_int_eq(best(), -1);
    end();
}
END_TEST

START_TEST(a_change_among_a_thousand_costs_about_twenty_comparisons)
{
    make(1000);
    compared = 0;
    set(500, 1);
    ck_assert_uint_le(compared, 20); /* ten matches, each compared twice if the result is new */
    compared = 0;
    set(500, 1);
    ck_assert_uint_eq(compared, 0);
    compared = 0;
    ck_assert_int_eq(best(), 0);
    ck_assert_uint_eq(compared, 0);
    end();
}
END_TEST

START_TEST(after_an_exclusion_the_next_best_is_found)
{
    struct tournament_search s;
    uint64_t standing = 0;
    make(1000);
    for (size_t i = 0; i < 1000; i++)
        set(i, i * 377 % 1000);
    compared = 0;
    tournament_search(&s, tree, 0);
    for (uint64_t n = 0; n < 24; n++) {
        long i = tournament_best(&s, &standing);
        ck_assert_uint_eq(standing, n);
        ck_assert_int_eq(i * 377 % 1000, (long)n);
        ck_assert(tournament_exclude(&s, (size_t)i));
    }
    ck_assert_uint_le(compared, 24 * 24 / 2 * 10);
    end();
}
END_TEST

START_TEST(if_all_are_excluded_there_is_no_best)
{
    struct tournament_search s;
    uint64_t standing = 0;
    make(20);
    tournament_search(&s, tree, 0);
    for (long n = 0; n < 20; n++) {
        ck_assert_int_eq(tournament_best(&s, &standing), n);
        ck_assert(tournament_exclude(&s, (size_t)n));
    }
    ck_assert_int_eq(tournament_best(&s, &standing), -1);
    end();
}
END_TEST

START_TEST(a_search_reports_that_it_has_no_room_for_exclusions)
{
    struct tournament_search s;
    uint64_t standing = 0;
    make(1000);
    for (size_t i = 0; i < 1000; i++)
        set(i, i * 377 % 1000);
    tournament_search(&s, tree, 0);
    size_t excluded = 0;
    while (tournament_exclude(&s, (size_t)tournament_best(&s, &standing)))
        excluded++;
    ck_assert_uint_ge(excluded, 24);
    ck_assert_uint_lt(excluded, 1000);
    end();
}
END_TEST

static long seen;

static void look(void)
{
    seen = best();
}

/* Plays the match at the root again while the other half of the tree is outdated. */
static void change_fourth_and_look(void)
{
    set(3, 8);
    seen = best();
}

START_TEST(a_change_in_progress_is_seen)
{
    make(4);
    for (size_t i = 0; i < 4; i++)
        set(i, i);
    interrupt = look;
    set(0, 5);
    ck_assert_int_eq(seen, 1);
    end();
}
END_TEST

START_TEST(two_concurrent_changes_are_both_seen)
{
    make(4);
    for (size_t i = 0; i < 4; i++)
        set(i, i);
    interrupt = change_fourth_and_look;
    set(0, 5);
    ck_assert_int_eq(seen, 1);
    ck_assert_int_eq(best(), 1);
    end();
}
END_TEST

static void *change(void *arg)
{
    struct policy_rig *policy_rig = arg;
    struct tournament_search s;
    uint64_t standing = 0;
    for (size_t n = 0; n < 3000; n++) {
        size_t i = n * n % policy_rig->count;
        atomic_fetch_add(&policy_rig->servers[i]->active, n % 2 == 0 ? 3 : 1);
        tournament_changed(tree, i, 0);
        tournament_search(&s, tree, 0);
        tournament_best(&s, &standing);
    }
    return NULL;
}

START_TEST(after_concurrent_changes_the_tree_is_right)
{
    for (size_t round = 0; round < 50; round++) {
        make(round + 1);
        policy_rig_run(&f, 4, change);
        size_t expected = 0;
        for (size_t i = 1; i < f.count; i++)
            if (server_active(f.servers[i]) < server_active(f.servers[expected]))
                expected = i;
        ck_assert_int_eq(best(), (long)expected);
        end();
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tournament");
    TCase *t = tcase_create("tournament");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, the_best_is_right_after_every_change, 0, 7);
    tcase_add_test(t, without_servers_there_is_no_best);
    tcase_add_test(t, a_change_among_a_thousand_costs_about_twenty_comparisons);
    tcase_add_test(t, after_an_exclusion_the_next_best_is_found);
    tcase_add_test(t, if_all_are_excluded_there_is_no_best);
    tcase_add_test(t, a_search_reports_that_it_has_no_room_for_exclusions);
    tcase_add_test(t, a_change_in_progress_is_seen);
    tcase_add_test(t, two_concurrent_changes_are_both_seen);
    tcase_add_test(t, after_concurrent_changes_the_tree_is_right);
    suite_add_tcase(s, t);
    return suite_main(s);
}
