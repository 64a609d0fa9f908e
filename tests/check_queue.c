#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "balance/queue.h"
#include "suite.h"

static struct queue queue;
static struct inbox inboxes[2];
static unsigned wakes[2];
static struct waiter waiters[4];
static struct server *server, *other;

static void on_wake(struct inbox *in)
{
    wakes[in - inboxes]++;
}

static _Atomic bool in_wake, woken;

static void on_slow_wake(struct inbox *in)
{
    (void)in;
    atomic_store(&in_wake, true);
    usleep(50000);
    atomic_store(&woken, true);
}

static struct server *make_server(uint64_t max_connections)
{
    const struct config_server conf = { .name = (char *)"s",
                                        .weight = 1,
                                        .max_connections = max_connections };
    struct server *srv = server_new(&conf, NULL);
    ck_assert_ptr_nonnull(srv);
    return srv;
}

/* Waiters alternate between the two inboxes. */
static void begin(void)
{
    queue_init(&queue);
    memset(waiters, 0, sizeof waiters);
    for (int i = 0; i < 2; i++) {
        inbox_init(&inboxes[i], on_wake);
        wakes[i] = 0;
    }
    for (int i = 0; i < 4; i++)
        waiters[i].inbox = &inboxes[i % 2];
    server = make_server(0);
    other = make_server(0);
}

static void end(void)
{
    queue_fini(&queue);
    for (int i = 0; i < 2; i++)
        inbox_fini(&inboxes[i]);
    server_free(server);
    server_free(other);
}

static void join_all(void)
{
    for (int i = 0; i < 4; i++)
        ck_assert(queue_enqueue(&queue, &waiters[i], 10));
}

/* The first waiter in each inbox, by number; '-': none. */
static void expect_granted(const char *expected)
{
    for (int i = 0; i < 2; i++) {
        struct waiter *w = inbox_pop(&inboxes[i]);
        ck_assert_int_eq(w == NULL ? '-' : (int)('0' + (w - waiters)), expected[i]);
    }
}

static struct server *pick_any(void *arg, const struct waiter *w)
{
    return pool_was_tried(w->tried, arg) ? NULL : arg;
}

START_TEST(the_order_is_that_of_the_first_wait)
{
    const uint64_t since[] = { 30, 10, 20, 10 };
    for (int i = 0; i < 4; i++) {
        waiters[i].since = since[i];
        waiters[i].again = i == 3;
        waiters[i].inbox = &inboxes[0];
        ck_assert(queue_enqueue(&queue, &waiters[i], i < 3 ? 10 : 0)); /* no limit for again */
    }
    queue_dispatch(&queue, pick_any, server);
    expect_granted("1-");
    expect_granted("3-");
    expect_granted("2-");
    expect_granted("0-");
    expect_granted("--");
}
END_TEST

START_TEST(a_dispatch_skips_sessions_that_have_tried_the_server_until_it_is_forgotten)
{
    struct pool_tried *tried = malloc(sizeof *tried + sizeof tried->serial[0]);
    ck_assert_ptr_nonnull(tried);
    tried->count = 1;
    tried->serial[0] = server->serial;
    waiters[0].tried = waiters[2].tried = tried;
    join_all();
    queue_dispatch(&queue, pick_any, server);
    expect_granted("-1");
    expect_granted("-3");
    queue_forget_tried(&queue, server);
    queue_dispatch(&queue, pick_any, server);
    expect_granted("0-");
    expect_granted("2-");
    free(tried);
}
END_TEST

START_TEST(first_come_first_served_over_all_inboxes)
{
    join_all();
    ck_assert_uint_eq(queue_length(&queue), 4);
    ck_assert(queue_grant(&queue, server));
    expect_granted("0-");
    ck_assert(queue_grant(&queue, server));
    expect_granted("-1");
    ck_assert(queue_grant(&queue, server));
    ck_assert(queue_grant(&queue, server));
    expect_granted("23");
    ck_assert(!queue_grant(&queue, server));
    ck_assert_uint_eq(queue_length(&queue), 0);
    ck_assert_uint_eq(wakes[0], 2);
    ck_assert_uint_eq(wakes[1], 2);
}
END_TEST

START_TEST(an_inbox_keeps_the_order)
{
    join_all();
    for (int i = 0; i < 4; i++)
        queue_grant(&queue, server);
    expect_granted("01");
    expect_granted("23");
    expect_granted("--");
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    ck_assert(!queue_enqueue(&queue, &waiters[0], 0));
    ck_assert(queue_enqueue(&queue, &waiters[0], 2));
    ck_assert(queue_enqueue(&queue, &waiters[1], 2));
    ck_assert(!queue_enqueue(&queue, &waiters[2], 2));
    ck_assert_ptr_null(queue_cancel(&queue, &waiters[0]));
    ck_assert(queue_enqueue(&queue, &waiters[2], 2));
    queue_grant(&queue, server);
    expect_granted("-1");
}
END_TEST

START_TEST(a_session_that_tried_the_server_is_skipped_and_keeps_its_position)
{
    struct pool_tried *tried = malloc(sizeof *tried + sizeof tried->serial[0]);
    tried->count = 1;
    tried->serial[0] = server->serial;
    waiters[0].tried = tried;
    join_all();
    ck_assert(queue_grant(&queue, server));
    expect_granted("-1");
    ck_assert(queue_grant(&queue, other));
    expect_granted("0-");
    free(tried);
}
END_TEST

START_TEST(a_slot_that_no_session_can_use_stays_with_the_caller)
{
    struct pool_tried *tried = malloc(sizeof *tried + sizeof tried->serial[0]);
    tried->count = 1;
    tried->serial[0] = server->serial;
    ck_assert(!queue_grant(&queue, server));
    waiters[0].tried = tried;
    ck_assert(queue_enqueue(&queue, &waiters[0], 10));
    ck_assert(!queue_grant(&queue, server));
    ck_assert(!queue_offer(&queue, server));
    ck_assert_uint_eq(server_active(server), 0);
    ck_assert_uint_eq(queue_length(&queue), 1);
    free(tried);
}
END_TEST

START_TEST(an_offered_slot_is_acquired_only_for_a_waiting_session)
{
    server->max_connections = 1;
    join_all();
    ck_assert(queue_offer(&queue, server));
    ck_assert_uint_eq(server_active(server), 1);
    ck_assert(!queue_offer(&queue, server)); /* the limit is one */
    ck_assert_uint_eq(server_active(server), 1);
    expect_granted("0-");
    ck_assert_uint_eq(queue_length(&queue), 3);
}
END_TEST

START_TEST(a_session_that_left_the_queue_gets_no_slot)
{
    join_all();
    ck_assert_ptr_null(queue_cancel(&queue, &waiters[0]));
    ck_assert_ptr_null(queue_cancel(&queue, &waiters[0]));
    ck_assert_uint_eq(queue_length(&queue), 3);
    queue_grant(&queue, server);
    expect_granted("-1");
}
END_TEST

START_TEST(a_session_that_leaves_with_a_granted_slot_returns_it)
{
    join_all();
    queue_grant(&queue, server);
    ck_assert_ptr_eq(queue_cancel(&queue, &waiters[0]), server);
    ck_assert_ptr_null(queue_cancel(&queue, &waiters[0]));
    expect_granted("--");
}
END_TEST

START_TEST(a_session_can_wait_again)
{
    join_all();
    queue_grant(&queue, server);
    expect_granted("0-");
    ck_assert_ptr_null(queue_cancel(&queue, &waiters[0]));
    ck_assert(queue_enqueue(&queue, &waiters[0], 10));
    for (int i = 0; i < 4; i++)
        queue_grant(&queue, other);
    expect_granted("21");
    expect_granted("03");
}
END_TEST

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS  4000
#define PLACES  2

static struct inbox boxes[THREADS];
static struct server *scarce;
static _Atomic unsigned at_work, granted, left;
static _Atomic unsigned inside, most;

static void no_wake(struct inbox *in)
{
    (void)in;
}

static void use_place(void)
{
    unsigned now = atomic_fetch_add(&inside, 1) + 1;
    unsigned seen = atomic_load(&most);
    while (now > seen && !atomic_compare_exchange_weak(&most, &seen, now))
        ;
    atomic_fetch_sub(&inside, 1);
    server_release(scarce);
}

/* Waits for a slot, but sometimes leaves before it is granted. */
static void *wait_and_leave(void *arg)
{
    struct inbox *in = arg;
    unsigned patience = 1;
    for (int i = 0; i < ROUNDS; i++) {
        struct waiter w = { .inbox = in };
        struct waiter *mine = NULL;
        if (!queue_enqueue(&queue, &w, THREADS))
            continue;
        patience = (patience * 5 + 3) % 64;
        for (unsigned n = 0; n < patience && (mine = inbox_pop(in)) == NULL; n++)
            sched_yield();
        if (mine != NULL) {
            atomic_fetch_add(&granted, 1);
            use_place();
        } else if (queue_cancel(&queue, &w) != NULL) {
            atomic_fetch_add(&left, 1);
            use_place();
        }
    }
    atomic_fetch_sub(&at_work, 1);
    return NULL;
}

static void *hand_out(void *arg)
{
    (void)arg;
    while (atomic_load(&at_work) > 0)
        if (!queue_offer(&queue, scarce))
            sched_yield();
    return NULL;
}

START_TEST(no_slot_is_lost_or_granted_twice)
{
    pthread_t waiting[THREADS], giving[2];
    scarce = make_server(PLACES);
    atomic_store(&at_work, THREADS);
    for (int i = 0; i < THREADS; i++) {
        inbox_init(&boxes[i], no_wake);
        ck_assert_int_eq(pthread_create(&waiting[i], NULL, wait_and_leave, &boxes[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&giving[i], NULL, hand_out, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(waiting[i], NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(giving[i], NULL);
    ck_assert_uint_le(most, PLACES);
    ck_assert_uint_gt(granted, 0);
    ck_assert_uint_eq(queue_length(&queue), 0);
    ck_assert_uint_eq(server_active(scarce), 0);
    for (int i = 0; i < THREADS; i++) {
        ck_assert_ptr_null(inbox_pop(&boxes[i]));
        inbox_fini(&boxes[i]);
    }
    server_free(scarce);
}
END_TEST

static void *grant_one(void *arg)
{
    ck_assert(queue_grant(&queue, arg));
    return NULL;
}

/* A worker that has taken its last waiter out may be freed with its inbox. */
START_TEST(no_thread_is_in_wake_after_the_waiter_was_taken_out)
{
    pthread_t thread;
    inboxes[0].wake = on_slow_wake;
    atomic_store(&in_wake, false);
    atomic_store(&woken, false);
    ck_assert(queue_enqueue(&queue, &waiters[0], 10));
    ck_assert_int_eq(pthread_create(&thread, NULL, grant_one, server), 0);
    while (!atomic_load(&in_wake))
        ;
    if (_i == 0)
        ck_assert_ptr_eq(inbox_pop(&inboxes[0]), &waiters[0]);
    else
        ck_assert_ptr_eq(queue_cancel(&queue, &waiters[0]), server);
    ck_assert(atomic_load(&woken));
    pthread_join(thread, NULL);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("queue");
    TCase *t = tcase_create("queue");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_loop_test(t, no_thread_is_in_wake_after_the_waiter_was_taken_out, 0, 2);
    tcase_add_test(t, first_come_first_served_over_all_inboxes);
    tcase_add_test(t, the_order_is_that_of_the_first_wait);
    tcase_add_test(t, a_dispatch_skips_sessions_that_have_tried_the_server_until_it_is_forgotten);
    tcase_add_test(t, an_inbox_keeps_the_order);
    tcase_add_test(t, the_queue_is_bounded);
    tcase_add_test(t, a_session_that_tried_the_server_is_skipped_and_keeps_its_position);
    tcase_add_test(t, a_slot_that_no_session_can_use_stays_with_the_caller);
    tcase_add_test(t, an_offered_slot_is_acquired_only_for_a_waiting_session);
    tcase_add_test(t, a_session_that_left_the_queue_gets_no_slot);
    tcase_add_test(t, a_session_that_leaves_with_a_granted_slot_returns_it);
    tcase_add_test(t, a_session_can_wait_again);
    tcase_add_test(t, no_slot_is_lost_or_granted_twice);
    suite_add_tcase(s, t);
    return suite_main(s);
}
