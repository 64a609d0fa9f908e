#include <pthread.h>

#include "session/conn_limit.h"
#include "suite.h"

static struct conn_limit conn_limit;
static int wakes;

static void on_wake(void *arg)
{
    ++*(int *)arg;
}

START_TEST(no_more_than_the_limit_get_in)
{
    conn_limit_init(&conn_limit, 2, on_wake, &wakes);
    ck_assert(conn_limit_acquire(&conn_limit));
    ck_assert(conn_limit_acquire(&conn_limit));
    ck_assert(!conn_limit_acquire(&conn_limit));
    conn_limit_release(&conn_limit);
    ck_assert(conn_limit_acquire(&conn_limit));
}
END_TEST

START_TEST(a_refused_caller_is_woken_once)
{
    conn_limit_init(&conn_limit, 1, on_wake, &wakes);
    wakes = 0;
    ck_assert(conn_limit_acquire(&conn_limit));
    conn_limit_release(&conn_limit);
    ck_assert_int_eq(wakes, 0); /* no listener waits */
    ck_assert(conn_limit_acquire(&conn_limit));
    ck_assert(!conn_limit_acquire(&conn_limit));
    ck_assert(!conn_limit_acquire(&conn_limit));
    conn_limit_release(&conn_limit);
    ck_assert_int_eq(wakes, 1);
}
END_TEST

START_TEST(without_a_limit_it_never_refuses)
{
    conn_limit_init(&conn_limit, 0, on_wake, &wakes);
    for (int i = 0; i < 1000; i++)
        ck_assert(conn_limit_acquire(&conn_limit));
    conn_limit_release(&conn_limit);
}
END_TEST

#define THREADS 4
#define ROUNDS  20000

static struct conn_limit shared_limit;
static _Atomic unsigned used, most, woken;

static void on_shared_limit_wake(void *arg)
{
    (void)arg;
    atomic_fetch_add(&woken, 1);
}

static void *acquire_and_release(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (!conn_limit_acquire(&shared_limit))
            continue;
        unsigned now = atomic_fetch_add(&used, 1) + 1;
        unsigned seen = atomic_load(&most);
        while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
            ;
        atomic_fetch_sub(&used, 1);
        conn_limit_release(&shared_limit);
    }
    return NULL;
}

START_TEST(threads_never_exceed_the_limit)
{
    pthread_t threads[THREADS];
    conn_limit_init(&shared_limit, 2, on_shared_limit_wake, NULL);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, acquire_and_release, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_le(most, 2);
    ck_assert_uint_eq(shared_limit.used, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("conn_limit");
    TCase *t = tcase_create("conn_limit");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, no_more_than_the_limit_get_in);
    tcase_add_test(t, a_refused_caller_is_woken_once);
    tcase_add_test(t, without_a_limit_it_never_refuses);
    tcase_add_test(t, threads_never_exceed_the_limit);
    suite_add_tcase(s, t);
    return suite_main(s);
}
