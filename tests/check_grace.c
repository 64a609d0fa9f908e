#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/grace.h"
#include "starve.h"
#include "suite.h"

static struct grace grace;
static struct grace_reader readers[2];
static unsigned wakes;
static char released[8];
static size_t release_count;

static void on_wake(struct grace_reader *r)
{
    (void)r;
    wakes++;
}

static void on_release(void *what)
{
    released[release_count++] = *(const char *)what;
}

static void begin(void)
{
    grace_init(&grace);
    wakes = 0;
    release_count = 0;
    for (int i = 0; i < 2; i++)
        readers[i].wake = on_wake;
}

/* Releasing an item appends its name to `released`. */
static void retire(const char *name)
{
    static char names[] = "abc";
    grace_retire(&grace, on_release, strchr(names, name[0]));
}

static void expect_released(const char *names)
{
    released[release_count] = '\0';
    ck_assert_str_eq(released, names);
}

START_TEST(without_readers_an_item_is_released_at_once)
{
    retire("a");
    ck_assert(!grace_reclaim(&grace));
    expect_released("a");
}
END_TEST

START_TEST(an_item_is_kept_until_each_reader_was_quiescent)
{
    grace_register(&grace, &readers[0]);
    grace_register(&grace, &readers[1]);
    retire("a");
    ck_assert_uint_eq(wakes, 2); /* a reader that sleeps would never be quiescent */
    ck_assert(grace_reclaim(&grace));
    grace_quiescent(&grace, &readers[0]);
    ck_assert(grace_reclaim(&grace));
    expect_released("");
    grace_quiescent(&grace, &readers[1]);
    ck_assert(!grace_reclaim(&grace));
    expect_released("a");
}
END_TEST

START_TEST(an_item_does_not_wait_for_later_items)
{
    grace_register(&grace, &readers[0]);
    retire("a");
    grace_quiescent(&grace, &readers[0]);
    retire("b");
    ck_assert(grace_reclaim(&grace));
    expect_released("a");
    retire("c");
    grace_quiescent(&grace, &readers[0]);
    ck_assert(!grace_reclaim(&grace));
    expect_released("abc");
}
END_TEST

START_TEST(a_later_reader_is_not_waited_for)
{
    grace_register(&grace, &readers[0]);
    retire("a");
    grace_register(&grace, &readers[1]);
    grace_quiescent(&grace, &readers[0]);
    ck_assert(!grace_reclaim(&grace));
    expect_released("a");
}
END_TEST

START_TEST(an_unregistered_reader_is_not_waited_for)
{
    grace_register(&grace, &readers[0]);
    retire("a");
    grace_unregister(&grace, &readers[0]);
    grace_fini(&grace);
    expect_released("a");
}
END_TEST

/* Retires another item, as a pool does when it frees a server. */
static void on_release_chain(void *what)
{
    (void)what;
    retire("b");
}

START_TEST(a_release_may_retire_another_item)
{
    grace_register(&grace, &readers[0]);
    grace_retire(&grace, on_release_chain, NULL);
    grace_quiescent(&grace, &readers[0]);
    ck_assert(grace_reclaim(&grace));
    expect_released("");
    grace_unregister(&grace, &readers[0]);
    grace_fini(&grace);
    expect_released("b");
}
END_TEST

/* ---- threads ---- */

#define THREADS 3
#define ROUNDS  3000
#define LIVING  0x600df00du

struct thing {
    unsigned magic;
};

static _Atomic(struct thing *) shared;
static _Atomic bool over;
static struct grace_reader threads_reader[THREADS];

static void no_wake(struct grace_reader *r)
{
    (void)r;
}

static struct thing *thing_new(void)
{
    struct thing *t = malloc(sizeof *t);
    t->magic = LIVING;
    return t;
}

static void thing_release(void *what)
{
    struct thing *t = what;
    t->magic = 0;
    free(t);
}

static void *read_on(void *arg)
{
    struct grace_reader *r = arg;
    bool wrong = false;
    while (!atomic_load(&over)) {
        const struct thing *t = atomic_load(&shared);
        for (int i = 0; i < 20; i++)
            wrong |= t->magic != LIVING;
        grace_quiescent(&grace, r);
    }
    atomic_store(&r->seen, UINT64_MAX);
    return wrong ? arg : NULL;
}

static void start_readers(pthread_t threads[THREADS])
{
    atomic_store(&over, false);
    atomic_store(&shared, thing_new());
    for (int i = 0; i < THREADS; i++) {
        threads_reader[i].wake = no_wake;
        grace_register(&grace, &threads_reader[i]);
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_on, &threads_reader[i]), 0);
    }
}

static void stop_readers(pthread_t threads[THREADS])
{
    atomic_store(&over, true);
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        ck_assert_ptr_null(wrong);
        grace_unregister(&grace, &threads_reader[i]);
    }
    grace_fini(&grace);
    free(atomic_load(&shared));
}

START_TEST(readers_never_see_a_released_item)
{
    pthread_t threads[THREADS];
    start_readers(threads);
    for (int i = 0; i < ROUNDS; i++) {
        grace_retire(&grace, thing_release, atomic_exchange(&shared, thing_new()));
        grace_reclaim(&grace);
    }
    stop_readers(threads);
}
END_TEST

START_TEST(without_memory_retire_waits_for_the_readers)
{
    pthread_t threads[THREADS];
    start_readers(threads);
    for (int i = 0; i < 50; i++) {
        struct thing *next = thing_new();
        starve_after(0);
        grace_retire(&grace, thing_release, atomic_exchange(&shared, next));
        starve_after(-1);
        ck_assert(!grace_reclaim(&grace));
    }
    stop_readers(threads);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("grace");
    TCase *t = tcase_create("grace");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, NULL);
    tcase_add_test(t, without_readers_an_item_is_released_at_once);
    tcase_add_test(t, an_item_is_kept_until_each_reader_was_quiescent);
    tcase_add_test(t, an_item_does_not_wait_for_later_items);
    tcase_add_test(t, a_later_reader_is_not_waited_for);
    tcase_add_test(t, an_unregistered_reader_is_not_waited_for);
    tcase_add_test(t, a_release_may_retire_another_item);
    tcase_add_test(t, readers_never_see_a_released_item);
    tcase_add_test(t, without_memory_retire_waits_for_the_readers);
    suite_add_tcase(s, t);
    return suite_main(s);
}
