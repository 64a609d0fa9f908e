#include "control/mailbox.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "suite.h"

struct note {
    struct worker_message worker_message;
    char text;
};

static struct mailbox box;
static char read_by_owner[16];
static size_t read_count;

static size_t wakes;

static void on_wake(void *arg)
{
    ck_assert_ptr_null(arg);
    wakes++; /* with the lock held */
}

static void begin(void)
{
    wakes = 0;
    mailbox_init(&box, on_wake, NULL);
    read_count = 0;
}

static void end(void)
{
    mailbox_fini(&box);
}

static void on_read(struct worker_message *l, void *owner)
{
    struct note *n = (struct note *)l; /* its first member */
    ck_assert_ptr_eq(owner, &box);
    read_by_owner[read_count++] = n->text;
    free(n);
}

static bool post(char text)
{
    struct note *n = malloc(sizeof *n);
    *n = (struct note){ .worker_message.run = on_read, .text = text };
    bool posted = mailbox_post(&box, &n->worker_message);
    if (!posted)
        free(n);
    return posted;
}

static void expect_read(const char *texts)
{
    read_by_owner[read_count] = '\0';
    ck_assert_str_eq(read_by_owner, texts);
}

START_TEST(messages_are_run_in_order)
{
    ck_assert(post('a') && post('b') && post('c'));
    expect_read("");
    mailbox_run(&box, &box);
    expect_read("abc");
    mailbox_run(&box, &box);
    expect_read("abc");
}
END_TEST

/* Posts another message while it runs. */
static void on_read_answer(struct worker_message *l, void *owner)
{
    on_read(l, owner);
    ck_assert(post('b'));
}

START_TEST(message_posted_meanwhile_waits)
{
    struct note *n = malloc(sizeof *n);
    *n = (struct note){ .worker_message.run = on_read_answer, .text = 'a' };
    ck_assert(mailbox_post(&box, &n->worker_message));
    mailbox_run(&box, &box);
    expect_read("a");
    mailbox_run(&box, &box);
    expect_read("ab");
}
END_TEST

START_TEST(close_runs_queued_messages)
{
    post('a');
    mailbox_close(&box, &box);
    expect_read("a");
}
END_TEST

START_TEST(post_to_closed_mailbox_fails)
{
    mailbox_close(&box, &box);
    ck_assert(!post('a'));
    mailbox_run(&box, &box);
    expect_read("");
}
END_TEST

START_TEST(each_post_wakes_the_owner)
{
    post('a');
    ck_assert_uint_eq(wakes, 1);
    post('b');
    ck_assert_uint_eq(wakes, 2);
    mailbox_close(&box, &box);
    post('c');
    ck_assert_uint_eq(wakes, 2);
}
END_TEST

/* ---- threads ---- */

static _Atomic bool in_wake, woken;

static void on_slow_wake(void *arg)
{
    (void)arg;
    atomic_store(&in_wake, true);
    usleep(50000);
    atomic_store(&woken, true);
}

static void ignore(struct worker_message *l, void *owner)
{
    (void)l;
    (void)owner;
}

static void *post_one(void *arg)
{
    mailbox_post(&box, arg);
    return NULL;
}

/* So the owner, and what wake() uses, may be freed after the close. */
START_TEST(no_wake_runs_after_close)
{
    struct worker_message worker_message = { .run = ignore };
    pthread_t thread;
    box.wake = on_slow_wake;
    atomic_store(&in_wake, false);
    atomic_store(&woken, false);
    ck_assert_int_eq(pthread_create(&thread, NULL, post_one, &worker_message), 0);
    while (!atomic_load(&in_wake))
        ;
    mailbox_close(&box, NULL);
    ck_assert(atomic_load(&woken));
    pthread_join(thread, NULL);
}
END_TEST

#define THREADS  3
#define MESSAGES 20000

static _Atomic size_t posted;
static size_t received;

static void on_count(struct worker_message *l, void *owner)
{
    (void)owner;
    received++; /* only by the owner's thread */
    free(l);
}

static void *post_until_closed(void *arg)
{
    (void)arg;
    for (int i = 0; i < MESSAGES; i++) {
        struct worker_message *l = malloc(sizeof *l);
        l->run = on_count;
        if (!mailbox_post(&box, l)) {
            free(l);
            break;
        }
        atomic_fetch_add(&posted, 1);
    }
    return NULL;
}

/* Threads post while the owner closes: each post that returned true is run. */
START_TEST(every_posted_message_is_run)
{
    pthread_t threads[THREADS];
    atomic_store(&posted, 0);
    received = 0;
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, post_until_closed, NULL), 0);
    while (received < THREADS * MESSAGES / 2)
        mailbox_run(&box, NULL);
    mailbox_close(&box, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(received, atomic_load(&posted));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("mailbox");
    TCase *t = tcase_create("mailbox");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, messages_are_run_in_order);
    tcase_add_test(t, message_posted_meanwhile_waits);
    tcase_add_test(t, close_runs_queued_messages);
    tcase_add_test(t, post_to_closed_mailbox_fails);
    tcase_add_test(t, each_post_wakes_the_owner);
    tcase_add_test(t, no_wake_runs_after_close);
    tcase_add_test(t, every_posted_message_is_run);
    suite_add_tcase(s, t);
    return suite_main(s);
}
