#include <stdbool.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/deadline.h"
#include "suite.h"

#define AFTER_MS 5

/* A loop that waits for an answer, with a deadline. */
static struct rig {
    uv_loop_t loop;
    uv_poll_t poll;
    uv_timer_t ticker;
    struct deadline deadline;
    int ours;
    int theirs;
    unsigned answers;
    unsigned expired;
    bool always_ready; /* the answer is never read */
} rig;

static void on_answer(uv_poll_t *poll, int status, int events)
{
    char byte;
    (void)poll;
    ck_assert_int_eq(status, 0);
    ck_assert(events & UV_READABLE);
    rig.answers++;
    if (rig.always_ready)
        return;
    ck_assert_int_eq(read(rig.ours, &byte, 1), 1);
    deadline_stop(&rig.deadline);
    uv_poll_stop(&rig.poll);
}

static void on_expired(uv_timer_t *timer)
{
    ck_assert_ptr_eq(timer->data, &rig);
    rig.expired++;
    uv_poll_stop(&rig.poll);
}

static void open_rig(void)
{
    int pair[2];
    rig = (struct rig){ 0 };
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
    rig.ours = pair[0];
    rig.theirs = pair[1];
    ck_assert_int_eq(uv_loop_init(&rig.loop), 0);
    ck_assert_int_eq(uv_poll_init(&rig.loop, &rig.poll, rig.ours), 0);
    ck_assert_int_eq(uv_timer_init(&rig.loop, &rig.ticker), 0);
    deadline_init(&rig.deadline, &rig.loop);
    rig.deadline.timer.data = &rig;
    uv_poll_start(&rig.poll, UV_READABLE, on_answer);
    deadline_start(&rig.deadline, on_expired, AFTER_MS);
}

static void close_rig(void)
{
    uv_close((uv_handle_t *)&rig.poll, NULL);
    uv_close((uv_handle_t *)&rig.ticker, NULL);
    uv_close((uv_handle_t *)&rig.deadline, NULL);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&rig.loop), 0);
    close(rig.ours);
    close(rig.theirs);
}

/* Stalls the process beyond the deadline. */
static void stall(void)
{
    const struct timespec pause = { .tv_nsec = 4 * AFTER_MS * 1000000 };
    nanosleep(&pause, NULL);
}

static void answer(void)
{
    ck_assert_int_eq(write(rig.theirs, "x", 1), 1);
}

START_TEST(a_waiting_answer_is_handled_before_a_due_deadline)
{
    open_rig();
    uv_run(&rig.loop, UV_RUN_NOWAIT);
    answer();
    stall();
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(rig.answers, 1);
    ck_assert_uint_eq(rig.expired, 0);
    close_rig();
}
END_TEST

START_TEST(a_new_descriptor_is_polled_before_a_due_deadline)
{
    open_rig();
    answer();
    stall();
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(rig.answers, 1);
    ck_assert_uint_eq(rig.expired, 0);
    close_rig();
}
END_TEST

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
    answer();
    stall();
}

START_TEST(an_answer_that_arrives_in_the_last_iteration_is_handled)
{
    open_rig();
    uv_timer_start(&rig.ticker, on_tick, 1, 0);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(rig.answers, 1);
    ck_assert_uint_eq(rig.expired, 0);
    close_rig();
}
END_TEST

START_TEST(without_an_answer_it_expires_once)
{
    open_rig();
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(rig.answers, 0);
    ck_assert_uint_eq(rig.expired, 1);
    close_rig();
}
END_TEST

START_TEST(it_expires_in_a_loop_that_always_has_events)
{
    open_rig();
    rig.always_ready = true;
    answer();
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_ge(rig.answers, DEADLINE_POLLS_MAX);
    ck_assert_uint_eq(rig.expired, 1);
    close_rig();
}
END_TEST

static void on_expired_again(uv_timer_t *timer)
{
    if (++rig.expired < 3)
        deadline_start(&rig.deadline, on_expired_again, 0);
    else
        on_expired(timer);
}

START_TEST(its_callback_may_start_it_again)
{
    open_rig();
    deadline_start(&rig.deadline, on_expired_again, 0);
    uv_run(&rig.loop, UV_RUN_DEFAULT);
    ck_assert_uint_eq(rig.expired, 4);
    close_rig();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("deadline");
    TCase *t = tcase_create("deadline");
    tcase_add_test(t, a_waiting_answer_is_handled_before_a_due_deadline);
    tcase_add_test(t, a_new_descriptor_is_polled_before_a_due_deadline);
    tcase_add_test(t, an_answer_that_arrives_in_the_last_iteration_is_handled);
    tcase_add_test(t, without_an_answer_it_expires_once);
    tcase_add_test(t, it_expires_in_a_loop_that_always_has_events);
    tcase_add_test(t, its_callback_may_start_it_again);
    suite_add_tcase(s, t);
    return suite_main(s);
}
