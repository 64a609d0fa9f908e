#include <stdlib.h>

#include "base/timer_wheel.h"
#include "suite.h"

#define ENTRIES 2000

struct item {
    struct timer_wheel_entry entry; /* first */
    uint64_t at;
    uint64_t fell_due; /* 0: not due yet */
};

static struct timer_wheel timer_wheel;
static struct item items[ENTRIES];
static uint64_t now;

static void on_due(struct timer_wheel_entry *e, void *arg)
{
    struct item *it = (struct item *)e;
    (void)arg;
    if (it->at > now) { /* beyond the reach of the wheel: scheduled again by its owner */
        timer_wheel_schedule(&timer_wheel, e, it->at);
        return;
    }
    ck_assert_uint_eq(it->fell_due, 0);
    it->fell_due = now;
}

static void start(uint64_t at)
{
    now = at;
    timer_wheel_init(&timer_wheel, now);
    for (int i = 0; i < ENTRIES; i++) {
        timer_wheel_entry_init(&items[i].entry);
        items[i].fell_due = 0;
    }
}

static void set(int i, uint64_t at)
{
    items[i].at = at;
    timer_wheel_schedule(&timer_wheel, &items[i].entry, at);
}

/* Sleeps until timer_wheel_next_due(), as a worker does. */
static void run_until(uint64_t end)
{
    while (now < end) {
        uint64_t due = timer_wheel_next_due(&timer_wheel);
        ck_assert_uint_gt(due, now);
        now = due < end ? due : end;
        timer_wheel_advance(&timer_wheel, now, on_due, NULL);
    }
}

START_TEST(entries_are_due_never_early_and_at_most_a_tick_late)
{
    start(1000003);
    srandom(1);
    for (int i = 0; i < ENTRIES; i++)
        set(i, now + (uint64_t)(random() % 200000));
    run_until(now + 300000);
    for (int i = 0; i < ENTRIES; i++) {
        ck_assert_uint_ge(items[i].fell_due, items[i].at);
        ck_assert_uint_le(items[i].fell_due, items[i].at + TIMER_WHEEL_TICK);
    }
    ck_assert_uint_eq(timer_wheel_next_due(&timer_wheel), TIMER_WHEEL_NEVER);
}
END_TEST

START_TEST(a_cancelled_entry_is_never_due)
{
    start(50);
    for (int i = 0; i < ENTRIES; i++)
        set(i, now + (uint64_t)i);
    for (int i = 0; i < ENTRIES; i += 2) {
        timer_wheel_cancel(&timer_wheel, &items[i].entry);
        timer_wheel_cancel(&timer_wheel, &items[i].entry); /* a second cancel does nothing */
    }
    run_until(now + ENTRIES + 100);
    for (int i = 0; i < ENTRIES; i++)
        ck_assert((items[i].fell_due != 0) == (i % 2 == 1));
}
END_TEST

START_TEST(a_moved_entry_is_due_only_at_its_new_time)
{
    start(0);
    set(0, 100);
    set(0, 5000);
    set(1, 5000);
    set(1, 100);
    run_until(10000);
    ck_assert_uint_ge(items[0].fell_due, 5000);
    ck_assert_uint_lt(items[1].fell_due, 200);
}
END_TEST

START_TEST(a_past_time_is_due_with_the_next_tick)
{
    start(100000);
    set(0, 5);
    run_until(now + 2 * TIMER_WHEEL_TICK);
    ck_assert_uint_ne(items[0].fell_due, 0);
}
END_TEST

START_TEST(an_empty_wheel_may_sleep_long)
{
    start(100000);
    now += 3600 * 1000;
    timer_wheel_advance(&timer_wheel, now, on_due, NULL);
    set(0, now + 1000);
    run_until(now + 2000);
    ck_assert_uint_ge(items[0].fell_due, items[0].at);
    ck_assert_uint_le(items[0].fell_due, items[0].at + TIMER_WHEEL_TICK);
}
END_TEST

START_TEST(covers_tells_whether_an_entry_must_be_moved)
{
    start(1000);
    ck_assert(!timer_wheel_covers(&items[0].entry, 5000));
    set(0, 4000);
    ck_assert(timer_wheel_covers(&items[0].entry, 5000));
    ck_assert(timer_wheel_covers(&items[0].entry, 4000));
    ck_assert(!timer_wheel_covers(&items[0].entry, 3000));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("timer_wheel");
    TCase *t = tcase_create("timer_wheel");
    tcase_add_test(t, entries_are_due_never_early_and_at_most_a_tick_late);
    tcase_add_test(t, a_cancelled_entry_is_never_due);
    tcase_add_test(t, a_moved_entry_is_due_only_at_its_new_time);
    tcase_add_test(t, a_past_time_is_due_with_the_next_tick);
    tcase_add_test(t, an_empty_wheel_may_sleep_long);
    tcase_add_test(t, covers_tells_whether_an_entry_must_be_moved);
    suite_add_tcase(s, t);
    return suite_main(s);
}
