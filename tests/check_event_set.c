#include "relay/event_set.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "suite.h"

#define BATCH   EVENT_SET_BATCH
#define SOURCES (2 * BATCH + 88)

static uv_loop_t loop;
static struct event_set set;
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
    ck_assert_int_eq(event_set_init(&set, &loop, BUSY_POLL_NEVER, 0), 0);
    handled = 0;
}

static void end(void)
{
    event_set_fini(&set);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void open_sources(uint32_t events)
{
    for (int i = 0; i < SOURCES; i++) {
        source[i] = eventfd(1, EFD_NONBLOCK | EFD_CLOEXEC);
        ck_assert_int_ge(source[i], 0);
        ck_assert_int_eq(event_set_add(&set, source[i], events, &watch), 0);
    }
}

static void close_sources(void)
{
    for (int i = 0; i < SOURCES; i++)
        close(source[i]);
}

/* A wake-up that was asked for at `due`, in a later millisecond than the one before. */
static void wake(uint64_t due, useconds_t after)
{
    event_set_sleep(&set, due);
    usleep(after);
    uv_update_time(&loop);
    event_set_wake(&set);
}

/* A wake-up with one look. Returns the time of the previous wake-up. */
static uint64_t look(void)
{
    uint64_t before = set.now;
    wake(UINT64_MAX, 2000);
    event_set_dispatch(&set, event_set_look(&set));
    ck_assert_uint_gt(set.now, before);
    return before;
}

START_TEST(a_look_that_returns_all_settles_what_was_before_it)
{
    for (int i = 0; i < 3; i++) {
        uint64_t before = look();
        ck_assert_uint_eq(set.settled, before);
    }
}
END_TEST

START_TEST(a_full_batch_settles_nothing)
{
    open_sources(EPOLLIN | EPOLLET);
    uint64_t settled = set.settled;
    for (unsigned i = 1; i <= SOURCES / BATCH; i++) {
        look();
        ck_assert_uint_eq(handled, i * BATCH);
        ck_assert_uint_eq(set.settled, settled);
    }
    uint64_t before = look();
    ck_assert_uint_eq(handled, SOURCES);
    ck_assert_uint_eq(set.settled, before);
    close_sources();
}
END_TEST

START_TEST(batches_that_are_always_full_settle_in_the_end)
{
    open_sources(EPOLLIN); /* always ready */
    uint64_t began = set.now;
    uint64_t settled = set.settled;
    for (unsigned i = 1; i <= SOURCES / BATCH; i++) {
        look();
        ck_assert_uint_eq(set.settled, settled);
    }
    look();
    ck_assert_uint_eq(set.settled, began);
    ck_assert_uint_eq(handled, 3 * BATCH);
    close_sources();
}
END_TEST

START_TEST(an_interrupted_look_settles_nothing)
{
    uint64_t settled = set.settled;
    wake(UINT64_MAX, 2000);
    event_set_dispatch(&set, -EINTR);
    ck_assert_uint_eq(set.settled, settled);
    uint64_t before = look();
    ck_assert_uint_eq(set.settled, before);
}
END_TEST

START_TEST(a_wake_up_without_a_look_settles_nothing)
{
    uint64_t settled = set.settled;
    wake(UINT64_MAX, 2000);
    ck_assert_uint_eq(set.settled, settled);
}
END_TEST

/* The process was stopped between a busy-poll that found events and the poll after it. What has
 * come meanwhile has the later time, or its session would end as idle at once. */
START_TEST(events_of_a_later_poll_in_a_wake_up_have_its_time)
{
    uint64_t before = look();
    uint64_t wakeups = set.wakeups;
    usleep(200000);
    uv_update_time(&loop);
    event_set_wake(&set);
    ck_assert_uint_eq(set.now, uv_now(&loop));
    ck_assert_uint_eq(set.before, before);
    ck_assert_uint_eq(set.wakeups, wakeups);
    event_set_dispatch(&set, event_set_look(&set));
    ck_assert_uint_eq(set.settled, before);
}
END_TEST

START_TEST(a_wake_up_that_comes_late_is_noticed)
{
    wake(set.now + 1, 200000); /* held up */
    ck_assert_uint_eq(set.resumed, set.now);
}
END_TEST

START_TEST(a_wake_up_that_is_held_up_is_noticed_at_its_end)
{
    look();
    uint64_t began = set.now;
    wake(UINT64_MAX, 200000); /* a long sleep */
    ck_assert_uint_eq(set.held_until, 0);
    ck_assert_uint_gt(set.now, began);
    began = set.now;
    usleep(200000);
    uv_update_time(&loop);
    event_set_sleep(&set, UINT64_MAX);
    ck_assert_uint_eq(set.held_from, began);
    ck_assert_uint_eq(set.held_until, uv_now(&loop));
}
END_TEST

START_TEST(a_long_sleep_that_was_asked_for_is_not_late)
{
    wake(UINT64_MAX, 200000);
    ck_assert_uint_eq(set.resumed, 0);
    wake(set.now + 200, 200000);
    ck_assert_uint_eq(set.resumed, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("event_set");
    TCase *c = tcase_create("event_set");
    tcase_add_checked_fixture(c, begin, end);
    tcase_add_test(c, a_look_that_returns_all_settles_what_was_before_it);
    tcase_add_test(c, a_full_batch_settles_nothing);
    tcase_add_test(c, batches_that_are_always_full_settle_in_the_end);
    tcase_add_test(c, an_interrupted_look_settles_nothing);
    tcase_add_test(c, a_wake_up_without_a_look_settles_nothing);
    tcase_add_test(c, events_of_a_later_poll_in_a_wake_up_have_its_time);
    tcase_add_test(c, a_wake_up_that_comes_late_is_noticed);
    tcase_add_test(c, a_wake_up_that_is_held_up_is_noticed_at_its_end);
    tcase_add_test(c, a_long_sleep_that_was_asked_for_is_not_late);
    suite_add_tcase(s, c);
    return suite_main(s);
}
