#include <pthread.h>

#include "session/gate.h"
#include "suite.h"

static struct gate gate;
static int wakes;

static void on_wake(void *arg)
{
    ++*(int *)arg;
}

START_TEST(no_more_than_the_limit_get_in)
{
    gate_init(&gate, 2, on_wake, &wakes);
    ck_assert(gate_enter(&gate));
    ck_assert(gate_enter(&gate));
    ck_assert(!gate_enter(&gate));
    gate_leave(&gate);
    ck_assert(gate_enter(&gate));
}
END_TEST

START_TEST(who_was_turned_away_is_woken_once)
{
    gate_init(&gate, 1, on_wake, &wakes);
    wakes = 0;
    ck_assert(gate_enter(&gate));
    gate_leave(&gate);
    ck_assert_int_eq(wakes, 0); /* nobody waits */
    ck_assert(gate_enter(&gate));
    ck_assert(!gate_enter(&gate));
    ck_assert(!gate_enter(&gate));
    gate_leave(&gate);
    ck_assert_int_eq(wakes, 1);
}
END_TEST

START_TEST(without_a_limit_it_stands_open)
{
    gate_init(&gate, 0, on_wake, &wakes);
    for (int i = 0; i < 1000; i++)
        ck_assert(gate_enter(&gate));
    gate_leave(&gate);
}
END_TEST

#define THREADS 4
#define ROUNDS  20000

static struct gate narrow;
static _Atomic unsigned inside, most, woken;

static void on_narrow_wake(void *arg)
{
    (void)arg;
    atomic_fetch_add(&woken, 1);
}

static void *come_and_go(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!gate_enter(&narrow))
            continue;
        unsigned now = atomic_fetch_add(&inside, 1) + 1;
        unsigned seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        atomic_fetch_sub(&inside, 1);
        gate_leave(&narrow);
    }
    return NULL;
}

START_TEST(threads_never_exceed_the_limit)
{
    pthread_t threads[THREADS];
    gate_init(&narrow, 2, on_narrow_wake, NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(most, 2);
    ck_assert_uint_eq(narrow.inside, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gate");
    TCase *t = tcase_create("gate");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_more_than_the_limit_get_in);
    tcase_add_test(t, who_was_turned_away_is_woken_once);
    tcase_add_test(t, without_a_limit_it_stands_open);
    tcase_add_test(t, threads_never_exceed_the_limit);
    suite_add_tcase(s, t);
    return suite_main(s);
}
