#include "relay/poller.h"

#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <unistd.h>

#include "suite.h"

#define BATCH   256 /* events that one wait returns at most */
#define SOURCES 600 /* more than two batches */

static uv_loop_t loop;
static struct poller poller;
static int source[SOURCES];
static unsigned handled;

static void on_event(struct watch *watch, uint32_t events)
{
    (void)watch;
    (void)events;
    handled++;
}

static struct watch watch = { .on_event = on_event };

static void begin(void)
{
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    ck_assert_int_eq(poller_init(&poller, &loop, BUSY_POLL_NEVER, 0), 0);
    handled = 0;
}

static void end(void)
{
    poller_fini(&poller);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void open_sources(uint32_t events)
{
    for (int i = 0; i < SOURCES; i++) {
        source[i] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        ck_assert_int_ge(source[i], 0);
        ck_assert_int_eq(poller_add(&poller, source[i], events, &watch), 0);
    }
}

static void close_sources(void)
{
    for (int i = 0; i < SOURCES; i++)
        close(source[i]);
}

/* One wake-up that does not wait, in a later millisecond than the one before. Returns the time of
 * that one. */
static uint64_t look(void)
{
    uint64_t before = poller.now;
    usleep(2000);
    poller_wait(&poller, 0);
    ck_assert_uint_gt(poller.now, before);
    return before;
}

START_TEST(a_wait_that_returns_all_settles_what_was_before_it)
{
    for (int i = 0; i < 3; i++) {
        uint64_t before = look();
        ck_assert_uint_eq(poller.settled, before);
    }
}
END_TEST

START_TEST(a_full_batch_settles_nothing)
{
    open_sources(EPOLLIN | EPOLLET);
    uint64_t settled = poller.settled;
    for (unsigned i = 1; i <= SOURCES / BATCH; i++) {
        look();
        ck_assert_uint_eq(handled, i * BATCH);
        ck_assert_uint_eq(poller.settled, settled);
    }
    uint64_t before = look();
    ck_assert_uint_eq(handled, SOURCES);
    ck_assert_uint_eq(poller.settled, before);
    close_sources();
}
END_TEST

START_TEST(batches_that_are_always_full_settle_in_the_end)
{
    open_sources(EPOLLIN); /* always ready */
    uint64_t began = poller.now;
    uint64_t settled = poller.settled;
    for (unsigned i = 1; i <= SOURCES / BATCH; i++) {
        look();
        ck_assert_uint_eq(poller.settled, settled);
    }
    look();
    ck_assert_uint_eq(poller.settled, began);
    ck_assert_uint_eq(handled, 3 * BATCH);
    close_sources();
}
END_TEST

static void on_signal(int number)
{
    (void)number;
}

START_TEST(an_interrupted_wait_settles_nothing)
{
    const struct sigaction action = { .sa_handler = on_signal };
    const struct itimerval soon = { .it_value.tv_usec = 20000 };
    uint64_t settled = poller.settled;
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &soon, NULL), 0);
    poller_wait(&poller, -1);
    ck_assert_uint_eq(poller.settled, settled);
    uint64_t before = look();
    ck_assert_uint_eq(poller.settled, before);
}
END_TEST

START_TEST(a_wake_up_that_comes_late_is_noticed)
{
    usleep(200000); /* held up */
    poller_wait(&poller, 1);
    ck_assert_uint_eq(poller.resumed, poller.now);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("poller");
    TCase *c = tcase_create("poller");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, a_wait_that_returns_all_settles_what_was_before_it);
    tcase_add_test(c, a_full_batch_settles_nothing);
    tcase_add_test(c, batches_that_are_always_full_settle_in_the_end);
    tcase_add_test(c, an_interrupted_wait_settles_nothing);
    tcase_add_test(c, a_wake_up_that_comes_late_is_noticed);
    suite_add_tcase(s, c);
    return suite_main(s);
}
