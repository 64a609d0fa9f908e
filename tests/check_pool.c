#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool_rig.h"
#include "starve.h"

#define A "server = 10.0.0.1:80 name=a"
#define B "server = 10.0.0.2:80 name=b"
#define C "server = 10.0.0.3:80 name=c"
#define D "server = 10.0.0.4:80 name=d"

static struct pool_rig rig;
static struct inbox inbox;
static unsigned wakes;

static void on_wake(struct inbox *in)
{
    (void)in;
    wakes++;
}

static void begin(void)
{
    inbox_init(&inbox, on_wake);
    wakes = 0;
}

static void end(void)
{
    inbox_fini(&inbox);
}

static struct server *named(const char *name)
{
    struct server *srv = pool_rig_server(&rig, name);
    ck_assert_ptr_nonnull(srv);
    return srv;
}

static uint64_t now(void)
{
    return atomic_load(&rig.now);
}

static void pass(uint64_t ms)
{
    atomic_fetch_add(&rig.now, ms);
}

/* The names of the servers picked one after the other, which stay acquired; "-": none. */
static void expect_picks(const char *expected)
{
    for (; *expected != '\0'; expected++) {
        const struct server *srv = pool_rig_pick(&rig, NULL);
        ck_assert_int_eq(srv == NULL ? '-' : server_name(srv)[0], *expected);
    }
}

static void expect_refusal(enum pool_refusal expected)
{
    enum pool_refusal refusal = POOL_FULL;
    const struct pick_request request = { .now = now() };
    ck_assert_ptr_null(pool_pick(rig.pool, &request, &refusal));
    ck_assert_int_eq(refusal, expected);
}

/* Releases all slots. */
static void leave_all(void)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(rig.pool, &count);
    for (size_t i = 0; i < count; i++)
        while (server_active(servers[i]) > 0)
            pool_rig_release(&rig, servers[i]);
}

static void close_rig(void)
{
    leave_all();
    pool_rig_close(&rig);
}

/* ---- picking ---- */

START_TEST(a_full_server_is_skipped_until_a_slot_is_free)
{
    pool_rig_open(&rig, A " max_connections=1\n" B "\n");
    expect_picks("abbb");
    pool_rig_release(&rig, named("a"));
    bool back = false;
    for (int i = 0; i < 2; i++)
        back |= pool_rig_pick(&rig, NULL) == named("a");
    ck_assert(back);
    close_rig();
}
END_TEST

START_TEST(if_all_are_full_none_is_picked)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=2\n");
    expect_picks("abb--");
    expect_refusal(POOL_FULL);
    close_rig();
}
END_TEST

START_TEST(backups_are_picked_only_without_regular_servers)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " backup\n" C " backup\n");
    expect_picks("abcbc");
    close_rig();
}
END_TEST

/* As while the pool is rebalanced. The shares hold for backups, too. */
START_TEST(servers_below_their_share_come_first)
{
    const char *const policies[] = { "round_robin", "least_conn", "random", "least_time" };
    for (size_t i = 0; i < sizeof policies / sizeof *policies; i++) {
        char lines[256];
        snprintf(lines, sizeof lines, "balance = %s\n" A "\n" B "\n" C " weight=9\n" D " backup\n",
                 policies[i]);
        pool_rig_open(&rig, lines);
        server_set_fair(named("a"), 3);
        server_set_fair(named("b"), 0);
        server_set_fair(named("c"), 1);
        server_set_fair(named("d"), 2);
        pool_prefer_below_share(rig.pool, true);
        enum pool_refusal refusal = POOL_FULL;
        const struct pick_request request = { .now = now() };
        for (int n = 0; n < 6; n++) {
            const struct server *next = pool_peek(rig.pool, &request, &refusal);
            ck_assert(!server_has_fair_share(next));
            ck_assert_ptr_nonnull(pool_rig_pick(&rig, NULL));
        }
        ck_assert_uint_eq(server_active(named("a")), 3);
        ck_assert_uint_eq(server_active(named("c")), 1);
        ck_assert_uint_eq(server_active(named("d")), 2);
        for (int n = 0; n < 22; n++) /* all have their shares: the policy decides */
            ck_assert_ptr_nonnull(pool_rig_pick(&rig, NULL));
        ck_assert_uint_eq(server_active(named("d")), 2);
        pool_prefer_below_share(rig.pool, false);
        close_rig();
    }
}
END_TEST

START_TEST(no_session_leaves_by_which_a_server_falls_below_its_share)
{
    pool_rig_open(&rig, A "\n");
    expect_picks("aaaaa");
    struct server *a = named("a");
    ck_assert(!server_leave_begin(a, false)); /* no share has been set */
    server_set_fair(a, 3);
    ck_assert(server_leave_begin(a, false));
    ck_assert(server_leave_begin(a, false));
    ck_assert(!server_leave_begin(a, false));
    ck_assert_uint_eq(server_staying(a), 3);
    pool_rig_release(&rig, a);
    server_leave_end(a);
    ck_assert(!server_leave_begin(a, false));
    pool_rig_release(&rig, a);
    server_leave_end(a);
    ck_assert_uint_eq(server_staying(a), 3);
    ck_assert(!server_leave_begin(a, false));
    ck_assert(server_leave_begin(a, true));
    server_leave_end(a);
    close_rig();
}
END_TEST

START_TEST(drained_and_maintained_servers_get_nothing)
{
    pool_rig_open(&rig, A " state=drain\n" B " state=maint\n" C "\n");
    expect_picks("ccc");
    ck_assert(pool_has_single_server(rig.pool));
    close_rig();
}
END_TEST

START_TEST(no_usable_server_and_no_free_slot_are_told_apart)
{
    pool_rig_open(&rig, A " state=drain\n" B " state=maint\n");
    expect_refusal(POOL_NO_SERVER);
    close_rig();
}
END_TEST

START_TEST(a_tried_server_is_not_picked_again)
{
    pool_rig_open(&rig, A "\n" B "\n" C "\n" D "\nretries = 1\n");
    struct pool_tried *tried = NULL;
    for (int i = 0; i < 4; i++) { /* more than retries allows: a reload may have lowered it */
        struct server *srv = pool_rig_pick(&rig, tried);
        ck_assert_ptr_nonnull(srv);
        ck_assert(!pool_was_tried(tried, srv));
        ck_assert_int_eq(pool_mark_tried(rig.pool, &tried, srv), 0);
        pool_rig_release(&rig, srv);
    }
    ck_assert_ptr_null(pool_rig_pick(&rig, tried));
    ck_assert(!pool_has_single_server(rig.pool));
    free(tried);
    close_rig();
}
END_TEST

START_TEST(a_failed_connect_is_logged_once_a_second)
{
    uint64_t suppressed = 99;
    pool_rig_open(&rig, A "\n");
    struct server *srv = named("a");
    ck_assert(server_may_log(srv, 5000, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    for (int i = 0; i < 7; i++)
        ck_assert(!server_may_log(srv, 5001 + (uint64_t)i, &suppressed));
    ck_assert(server_may_log(srv, 6000, &suppressed));
    ck_assert_uint_eq(suppressed, 7);
    close_rig();
}
END_TEST

/* ---- failed connects ---- */

#define PASSIVE "\nmax_fails = 2\nfail_timeout = 10s\n"

static void fail_to_reach(const char *name, int times)
{
    for (int i = 0; i < times; i++)
        pool_connect_failed(rig.pool, named(name), now());
}

START_TEST(failed_connects_take_a_server_out_for_a_while)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 1);
    expect_picks("abab");
    fail_to_reach("a", 1);
    expect_picks("bbbb");
    pass(9999);
    expect_picks("bb");
    close_rig();
}
END_TEST

START_TEST(failures_far_apart_do_not_count)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 1);
    pass(10000);
    fail_to_reach("a", 1);
    expect_picks("abab");
    close_rig();
}
END_TEST

/* Picks and releases, and counts how often the server is a. */
static unsigned count_a(int picks)
{
    unsigned count = 0;
    for (int i = 0; i < picks; i++)
        count += pool_rig_pick(&rig, NULL) == named("a");
    return count;
}

START_TEST(one_session_probes_after_the_time_out)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    pass(10000);
    ck_assert_uint_eq(count_a(10), 1);
    pool_connected(rig.pool, named("a"), now());
    ck_assert_uint_eq(count_a(10), 5);
    close_rig();
}
END_TEST

START_TEST(a_probe_that_fails_takes_the_server_out_again)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    pass(10000);
    ck_assert_uint_eq(count_a(4), 1);
    fail_to_reach("a", 1);
    ck_assert_uint_eq(count_a(4), 0);
    pass(9999);
    ck_assert_uint_eq(count_a(4), 0);
    pass(1);
    ck_assert_uint_eq(count_a(4), 1);
    close_rig();
}
END_TEST

START_TEST(if_the_probing_client_leaves_another_session_probes)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    pass(10000);
    ck_assert_uint_eq(count_a(4), 1);
    pool_connect_cancelled(rig.pool, named("a"), now());
    ck_assert_uint_eq(count_a(4), 1);
    close_rig();
}
END_TEST

START_TEST(the_last_usable_server_is_never_taken_out)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    fail_to_reach("b", 20);
    expect_picks("bbb");
    close_rig();
}
END_TEST

START_TEST(a_backup_counts_as_usable)
{
    pool_rig_open(&rig, A "\n" B " backup" PASSIVE);
    fail_to_reach("a", 2);
    expect_picks("bb");
    fail_to_reach("b", 20);
    expect_picks("bb");
    close_rig();
}
END_TEST

START_TEST(a_server_that_is_down_does_not_count_as_usable)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    pool_set_up(rig.pool, named("b"), false, now());
    fail_to_reach("a", 20);
    expect_picks("aa");
    close_rig();
}
END_TEST

START_TEST(with_max_fails_0_no_server_is_taken_out)
{
    pool_rig_open(&rig, A "\n" B "\nmax_fails = 0\n");
    fail_to_reach("a", 100);
    expect_picks("abab");
    close_rig();
}
END_TEST

START_TEST(without_usable_servers_one_that_is_out_is_picked)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    pool_set_up(rig.pool, named("b"), false, now());
    expect_picks("aa");
    pool_connected(rig.pool, named("a"), now()); /* it works, and no other is usable */
    pool_set_up(rig.pool, named("b"), true, now());
    pool_rig_tidy(&rig);
    ck_assert_uint_eq(count_a(4), 2);
    close_rig();
}
END_TEST

START_TEST(a_passed_check_resets_failed_connects)
{
    pool_rig_open(&rig, A "\n" B PASSIVE);
    fail_to_reach("a", 2);
    pool_set_up(rig.pool, named("a"), false, now());
    ck_assert(pool_set_up(rig.pool, named("a"), true, now()));
    ck_assert(!pool_set_up(rig.pool, named("a"), true, now()));
    pool_rig_tidy(&rig);
    ck_assert_uint_eq(count_a(4), 2);
    close_rig();
}
END_TEST

/* ---- slow start ---- */

START_TEST(a_recovered_server_begins_with_a_small_share)
{
    pool_rig_open(&rig, A "\n" B PASSIVE "slow_start = 100s\n");
    fail_to_reach("a", 2);
    pass(10000);
    ck_assert_uint_eq(count_a(2), 1);
    pool_connected(rig.pool, named("a"), now());
    pass(25000); /* a quarter: a takes one of 4 turns, and b the others */
    unsigned got = count_a(1000);
    ck_assert_uint_ge(got, 190);
    ck_assert_uint_le(got, 210);
    pass(75000);
    ck_assert_uint_eq(count_a(1000), 500);
    close_rig();
}
END_TEST

START_TEST(servers_in_slow_start_together_share_equally)
{
    pool_rig_open(&rig, A "\n" B "\nslow_start = 100s\n");
    for (int i = 0; i < 2; i++) {
        pool_set_up(rig.pool, named("a"), i != 0, now());
        pool_set_up(rig.pool, named("b"), i != 0, now());
        pool_rig_tidy(&rig);
    }
    pass(1000);
    unsigned got = count_a(1000);
    ck_assert_uint_ge(got, 450);
    ck_assert_uint_le(got, 550);
    close_rig();
}
END_TEST

/* ---- waiting ---- */

#define QUEUE "\nmax_queue = 3\n"

static struct waiter waiters[4];

static int wait_in_line(int i, const struct pool_tried *tried, struct server **srv)
{
    waiters[i] = (struct waiter){ .inbox = &inbox, .tried = tried };
    *srv = NULL;
    return pool_enqueue(rig.pool, &waiters[i], now(), srv);
}

static void expect_waits(int i)
{
    struct server *srv = NULL;
    ck_assert_int_eq(wait_in_line(i, NULL, &srv), 0);
    ck_assert_ptr_null(srv);
}

/* The first waiter in the inbox and its server: "0a"; "0-": without a slot; "-": inbox empty. */
static void expect_granted(const char *expected)
{
    char text[8] = "-";
    const struct waiter *w = inbox_pop(&inbox);
    if (w != NULL)
        snprintf(text, sizeof text, "%d%c", (int)(w - waiters),
                 w->granted == NULL ? '-' : server_name(w->granted)[0]);
    ck_assert_str_eq(text, expected);
}

START_TEST(a_released_slot_goes_to_the_head_of_the_queue)
{
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    expect_waits(0);
    expect_waits(1);
    ck_assert_uint_eq(pool_waiting(rig.pool), 2);
    pool_rig_release(&rig, named("a"));
    ck_assert_uint_eq(wakes, 1);
    ck_assert_uint_eq(server_active(named("a")), 1);
    expect_picks("-"); /* no session gets ahead of the queue */
    expect_granted("0a");
    expect_granted("-");
    pool_rig_release(&rig, named("a"));
    expect_granted("1a");
    pool_rig_release(&rig, named("a"));
    ck_assert_uint_eq(server_active(named("a")), 0);
    close_rig();
}
END_TEST

START_TEST(the_queue_is_bounded)
{
    struct server *srv = NULL;
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    for (int i = 0; i < 3; i++)
        expect_waits(i);
    ck_assert_int_eq(wait_in_line(3, NULL, &srv), -EAGAIN);
    pool_cancel(rig.pool, &waiters[1], now());
    expect_waits(3);
    for (int i = 0; i < 3; i++)
        pool_rig_release(&rig, named("a"));
    expect_granted("0a");
    expect_granted("2a");
    expect_granted("3a");
    close_rig();
}
END_TEST

START_TEST(a_slot_that_has_just_come_free_is_acquired_at_once)
{
    struct server *srv = NULL;
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    ck_assert_int_eq(wait_in_line(0, NULL, &srv), 1);
    ck_assert_ptr_eq(srv, named("a"));
    ck_assert_uint_eq(pool_waiting(rig.pool), 0);
    expect_granted("-");
    ck_assert_uint_eq(server_active(srv), 1);
    close_rig();
}
END_TEST

START_TEST(a_session_that_tried_the_server_is_skipped_and_keeps_its_position)
{
    struct server *srv = NULL;
    struct pool_tried *tried = NULL;
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" QUEUE);
    pool_mark_tried(rig.pool, &tried, named("a"));
    expect_picks("ab");
    ck_assert_int_eq(wait_in_line(0, tried, &srv), 0);
    expect_waits(1);
    pool_rig_release(&rig, named("a"));
    expect_granted("1a");
    pool_rig_release(&rig, named("b"));
    expect_granted("0b");
    free(tried);
    close_rig();
}
END_TEST

START_TEST(a_session_that_leaves_passes_its_slot_on)
{
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    expect_waits(0);
    expect_waits(1);
    pool_rig_release(&rig, named("a"));
    pool_cancel(rig.pool, &waiters[0], now()); /* it is in the inbox */
    expect_granted("1a");
    expect_waits(2);
    pool_cancel(rig.pool, &waiters[2], now());
    pool_rig_release(&rig, named("a"));
    ck_assert_uint_eq(server_active(named("a")), 0);
    ck_assert_uint_eq(pool_waiting(rig.pool), 0);
    close_rig();
}
END_TEST

START_TEST(no_slot_is_granted_on_a_server_that_is_out_or_down)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" PASSIVE QUEUE);
    expect_picks("ab");
    fail_to_reach("a", 2);
    expect_waits(0);
    pool_rig_release(&rig, named("a"));
    expect_granted("-");
    pass(10000);
    expect_picks("a"); /* the probe */
    pool_connected(rig.pool, named("a"), now());
    pool_rig_release(&rig, named("a"));
    expect_granted("0a");
    expect_waits(1);
    pool_set_up(rig.pool, named("a"), false, now());
    pool_rig_release(&rig, named("a"));
    expect_granted("-");
    pool_set_up(rig.pool, named("a"), true, now());
    pool_rig_tidy(&rig);
    expect_granted("1a");
    close_rig();
}
END_TEST

START_TEST(if_the_last_server_goes_down_all_waits_end)
{
    struct server *srv = NULL;
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" QUEUE);
    expect_picks("ab");
    expect_waits(0);
    expect_waits(1);
    pool_set_up(rig.pool, named("b"), false, now());
    expect_granted("-");
    pool_set_up(rig.pool, named("a"), false, now());
    ck_assert_uint_eq(wakes, 2);
    expect_granted("0-");
    expect_granted("1-");
    ck_assert_uint_eq(pool_waiting(rig.pool), 0);
    ck_assert_int_eq(wait_in_line(2, NULL, &srv), -ENOENT);
    pool_rig_release(&rig, named("a"));
    pool_rig_release(&rig, named("b"));
    close_rig();
}
END_TEST

START_TEST(if_the_last_server_is_drained_all_waits_end)
{
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    expect_waits(0);
    pool_set_state(rig.pool, named("a"), CONFIG_STATE_DRAIN, now());
    expect_granted("0-");
    pool_set_state(rig.pool, named("a"), CONFIG_STATE_READY, now());
    expect_waits(1);
    pool_rig_release(&rig, named("a"));
    expect_granted("1a");
    expect_waits(2);
    struct server *a = named("a");
    pool_rig_update(&rig, B "\n");
    expect_granted("2b");
    pool_rig_release(&rig, named("b"));
    pool_rig_release(&rig, a);
    close_rig();
}
END_TEST

START_TEST(a_session_that_tried_all_remaining_servers_stops_waiting)
{
    struct server *srv = NULL;
    struct pool_tried *tried = NULL;
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" QUEUE);
    pool_mark_tried(rig.pool, &tried, named("a"));
    expect_picks("ab");
    ck_assert_int_eq(wait_in_line(0, tried, &srv), 0);
    expect_waits(1);
    pool_set_up(rig.pool, named("b"), false, now());
    expect_granted("0-");
    expect_granted("-");
    pool_rig_release(&rig, named("a"));
    expect_granted("1a");
    pool_rig_release(&rig, named("a"));
    pool_rig_release(&rig, named("b"));
    free(tried);
    close_rig();
}
END_TEST

START_TEST(a_waiting_session_probes_after_the_time_out)
{
    pool_rig_open(&rig, A " max_connections=1\n" B PASSIVE QUEUE);
    expect_picks("a");
    fail_to_reach("b", 2);
    unsigned before = rig.untidy;
    expect_waits(0);
    expect_waits(1);
    ck_assert_uint_gt(rig.untidy, before);
    ck_assert(pool_tidy(rig.pool));
    expect_granted("-");
    pass(10000);
    ck_assert(pool_tidy(rig.pool));
    expect_granted("0b");
    pool_tidy(rig.pool);
    expect_granted("-"); /* one session probes */
    fail_to_reach("b", 1);
    pool_rig_release(&rig, named("b"));
    pass(10000);
    pool_tidy(rig.pool);
    expect_granted("1b");
    expect_waits(2);
    pool_connected(rig.pool, named("b"), now());
    expect_granted("2b");
    for (int i = 0; i < 2; i++)
        pool_rig_release(&rig, named("b"));
    pool_rig_release(&rig, named("a"));
    close_rig();
}
END_TEST

START_TEST(a_session_that_leaves_passes_its_probe_on)
{
    pool_rig_open(&rig, A " max_connections=1\n" B PASSIVE QUEUE);
    expect_picks("a");
    fail_to_reach("b", 2);
    expect_waits(0);
    expect_waits(1);
    pass(10000);
    pool_tidy(rig.pool);
    pool_cancel(rig.pool, &waiters[0], now());
    expect_granted("1b");
    pool_rig_release(&rig, named("b"));
    pool_rig_release(&rig, named("a"));
    close_rig();
}
END_TEST

START_TEST(while_a_session_waits_tidying_goes_on_until_the_probe)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" PASSIVE QUEUE);
    expect_picks("ab");
    expect_waits(0);
    unsigned before = rig.untidy;
    fail_to_reach("b", 2);
    ck_assert_uint_gt(rig.untidy, before);
    pool_rig_release(&rig, named("b"));
    expect_granted("-");
    pass(10000);
    pool_tidy(rig.pool);
    expect_granted("0b");
    pool_rig_release(&rig, named("b"));
    pool_rig_release(&rig, named("a"));
    close_rig();
}
END_TEST

START_TEST(without_usable_servers_a_waiting_session_gets_one_that_is_out)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=1" PASSIVE QUEUE);
    expect_picks("a");
    fail_to_reach("b", 2);
    expect_waits(0);
    expect_waits(1);
    pool_set_up(rig.pool, named("a"), false, now());
    expect_granted("0b");
    expect_granted("-"); /* a slot may come free */
    pool_rig_release(&rig, named("b"));
    expect_granted("1b");
    pool_rig_release(&rig, named("b"));
    pool_rig_release(&rig, named("a"));
    close_rig();
}
END_TEST

START_TEST(waiting_sessions_get_slots_of_new_servers)
{
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    for (int i = 0; i < 3; i++)
        expect_waits(i);
    pool_rig_update(&rig, A " max_connections=2\n" B " max_connections=1" QUEUE);
    expect_granted("0b"); /* the rotation has had a */
    expect_granted("1a");
    expect_granted("-");
    pool_cancel(rig.pool, &waiters[2], now());
    close_rig();
}
END_TEST

/* ---- queue_when = down, pause ---- */

#define DOWN QUEUE "queue_when = down\n"

START_TEST(sessions_wait_while_no_server_is_usable)
{
    pool_rig_open(&rig, A "\n" B "\n" DOWN);
    pool_set_up(rig.pool, named("a"), false, now());
    pool_set_state(rig.pool, named("b"), CONFIG_STATE_MAINT, now());
    expect_picks("-");
    for (int i = 0; i < 3; i++)
        expect_waits(i);
    pool_set_up(rig.pool, named("a"), true, now());
    for (int i = 0; i < 3; i++)
        expect_granted((const char *[]){ "0a", "1a", "2a" }[i]);
    close_rig();
}
END_TEST

START_TEST(a_session_that_failed_waits_until_a_server_comes_up)
{
    struct server *srv = NULL;
    struct pool_tried *tried = NULL;
    pool_rig_open(&rig, A "\n" DOWN);
    expect_picks("a");
    pool_connect_failed(rig.pool, named("a"), now());
    pool_mark_tried(rig.pool, &tried, named("a"));
    pool_rig_release(&rig, named("a"));
    ck_assert_int_eq(wait_in_line(0, tried, &srv), 0);
    expect_granted("-");
    pool_set_up(rig.pool, named("a"), false, now());
    expect_granted("-");
    pool_set_up(rig.pool, named("a"), true, now());
    expect_granted("0a"); /* although it has tried it */
    ck_assert_ptr_null(waiters[0].tried);
    free(tried);
    close_rig();
}
END_TEST

START_TEST(a_new_session_goes_behind_those_that_wait_for_a_server)
{
    struct server *srv = NULL;
    struct pool_tried *tried = NULL;
    pool_rig_open(&rig, A "\n" DOWN);
    pool_mark_tried(rig.pool, &tried, named("a"));
    ck_assert_int_eq(wait_in_line(0, tried, &srv), 0);
    expect_picks("-");
    expect_waits(1);
    expect_granted("1a");
    pool_cancel(rig.pool, &waiters[0], now());
    expect_picks("a");
    free(tried);
    close_rig();
}
END_TEST

START_TEST(the_last_server_is_taken_out_for_a_second_and_then_probed)
{
    pool_rig_open(&rig, A "\n" PASSIVE DOWN);
    fail_to_reach("a", 2);
    expect_picks("-");
    expect_waits(0);
    expect_waits(1);
    pass(999);
    pool_rig_tidy(&rig);
    expect_granted("-");
    pass(1);
    pool_rig_tidy(&rig);
    expect_granted("0a"); /* the probe */
    expect_granted("-");
    pool_connected(rig.pool, named("a"), now());
    expect_granted("1a");
    close_rig();
}
END_TEST

START_TEST(during_slow_start_waiting_sessions_start_gradually)
{
    pool_rig_open(&rig, A "\nslow_start = 4s\n" DOWN);
    pool_set_up(rig.pool, named("a"), false, now());
    for (int i = 0; i < 3; i++)
        expect_waits(i);
    pool_set_up(rig.pool, named("a"), true, now());
    expect_granted("0a");
    expect_granted("-");
    pass(2000);
    pool_rig_tidy(&rig);
    expect_granted("-"); /* half of 3 is 1 */
    pass(1000);
    pool_rig_tidy(&rig);
    expect_granted("1a");
    expect_granted("-");
    pass(1000);
    pool_rig_tidy(&rig);
    expect_granted("2a");
    close_rig();
}
END_TEST

START_TEST(a_paused_pool_grants_no_slot)
{
    pool_rig_open(&rig, A " max_connections=1" QUEUE);
    expect_picks("a");
    ck_assert(pool_pause(rig.pool, true, now()));
    ck_assert(!pool_pause(rig.pool, true, now()));
    expect_waits(0);
    expect_waits(1);
    pool_rig_release(&rig, named("a"));
    expect_granted("-");
    expect_picks("-");
    pool_set_up(rig.pool, named("a"), false, now()); /* they wait also for a server that is down */
    expect_granted("-");
    pool_set_up(rig.pool, named("a"), true, now());
    expect_granted("-");
    ck_assert(pool_pause(rig.pool, false, now()));
    expect_granted("0a");
    expect_granted("-");
    pool_rig_release(&rig, named("a"));
    expect_granted("1a");
    close_rig();
}
END_TEST

START_TEST(if_the_pool_is_removed_sessions_stop_waiting_for_servers_that_are_down)
{
    pool_rig_open(&rig, A "\n" DOWN);
    pool_set_up(rig.pool, named("a"), false, now());
    expect_waits(0);
    pool_drop(rig.pool, now());
    expect_granted("0-");
    close_rig();
}
END_TEST

START_TEST(waiting_sessions_get_slots_of_a_server_that_is_ready_again)
{
    pool_rig_open(&rig, A " max_connections=1\n" B " max_connections=2 state=maint" QUEUE);
    expect_picks("a");
    for (int i = 0; i < 3; i++)
        expect_waits(i);
    pool_set_state(rig.pool, named("b"), CONFIG_STATE_READY, now());
    expect_granted("0b");
    expect_granted("1b");
    expect_granted("-");
    pool_cancel(rig.pool, &waiters[2], now());
    close_rig();
}
END_TEST

START_TEST(after_a_lowered_limit_slots_are_granted_only_below_it)
{
    pool_rig_open(&rig, A " max_connections=3" QUEUE);
    expect_picks("aaa");
    pool_rig_update(&rig, A " max_connections=1" QUEUE);
    expect_waits(0);
    pool_rig_release(&rig, named("a"));
    pool_rig_release(&rig, named("a"));
    expect_granted("-");
    pool_rig_release(&rig, named("a"));
    expect_granted("0a");
    close_rig();
}
END_TEST

/* ---- new configurations ---- */

START_TEST(an_update_keeps_sessions_health_and_rotation)
{
    pool_rig_open(&rig, A "\n" B "\n" C PASSIVE);
    expect_picks("a");
    fail_to_reach("c", 2);
    const struct server *a = named("a");
    pool_rig_update(&rig, A "\n" B "\n" C "\n" D PASSIVE);
    ck_assert_ptr_eq(named("a"), a);
    ck_assert_uint_eq(server_active(a), 1);
    ck_assert_uint_eq(rig.changed, 1);
    expect_picks("bdab");
    close_rig();
}
END_TEST

START_TEST(a_removed_server_is_freed_after_its_last_session)
{
    pool_rig_open(&rig, A "\n" B "\n");
    expect_picks("ab");
    struct server *srv = named("b");
    pool_rig_update(&rig, A "\n");
    ck_assert(pool_tidy(rig.pool));
    ck_assert(!pool_is_idle(rig.pool));
    ck_assert_str_eq(server_name(srv), "b");
    expect_picks("aa");
    pool_rig_release(&rig, srv); /* no session gets this slot */
    grace_reclaim(&rig.grace);
    ck_assert(!pool_tidy(rig.pool));
    close_rig(); /* a sanitizer finds leaks */
}
END_TEST

static void no_wake(struct grace_reader *r)
{
    (void)r;
}

START_TEST(objects_that_a_worker_may_see_are_kept)
{
    struct grace_reader worker = { .wake = no_wake };
    pool_rig_open(&rig, A "\n" B "\n");
    pool_rig_tidy(&rig);
    grace_register(&rig.grace, &worker);
    const struct server *srv = named("b");
    const struct config_pool *conf = pool_conf(rig.pool);
    pool_rig_update(&rig, A "\n");
    ck_assert(grace_reclaim(&rig.grace));
    ck_assert_str_eq(server_name(srv), "b");
    ck_assert_str_eq(conf->name, "p");
    grace_quiescent(&rig.grace, &worker);
    ck_assert(!grace_reclaim(&rig.grace)); /* the set is freed, the server is not */
    ck_assert(!pool_tidy(rig.pool));
    ck_assert_str_eq(server_name(srv), "b");
    ck_assert(grace_reclaim(&rig.grace));
    grace_quiescent(&rig.grace, &worker);
    ck_assert(!grace_reclaim(&rig.grace));
    grace_unregister(&rig.grace, &worker);
    close_rig();
}
END_TEST

START_TEST(addresses_of_a_name_become_servers)
{
    struct pool_answer answers[2] = { 0 };
    const char *why = NULL;
    addr_parse(&answers[0].addr, "10.0.0.1:80", &why);
    addr_parse(&answers[1].addr, "10.0.0.2:80", &why);
    answers[1].backup = true;
    pool_rig_open(&rig, "server = db.example:80 name=db\n");
    expect_refusal(POOL_NO_SERVER);
    ck_assert_int_eq(pool_resolved(rig.pool, 0, answers, 2), 1);
    ck_assert_int_eq(pool_resolved(rig.pool, 0, answers, 2), 0);
    ck_assert_uint_eq(rig.changed, 1);
    struct server *srv = pool_rig_pick(&rig, NULL);
    ck_assert(addr_equal(&srv->addr, &answers[0].addr));
    ck_assert(!pool_is_backup(rig.pool, srv));
    ck_assert_int_eq(pool_resolved(rig.pool, 0, &answers[1], 1), 1);
    pool_rig_release(&rig, srv);
    srv = pool_rig_pick(&rig, NULL);
    ck_assert(addr_equal(&srv->addr, &answers[1].addr));
    ck_assert(pool_is_backup(rig.pool, srv));
    close_rig();
}
END_TEST

START_TEST(without_memory_an_update_changes_nothing)
{
    pool_rig_open(&rig, A " weight=2\n" B "\n");
    const struct config_pool *before = pool_conf(rig.pool);
    const struct config_pool *next = pool_rig_conf(&rig, A " weight=1 state=maint\n" C "\n");
    int rc = -ENOMEM;
    for (long grants = 0; rc < 0; grants++) {
        ck_assert_int_eq(rc, -ENOMEM);
        ck_assert_ptr_eq(pool_conf(rig.pool), before);
        ck_assert_uint_eq(server_weight(named("a")), 2);
        ck_assert_uint_eq(rig.changed, 0);
        starve_after(grants);
        rc = pool_rig_put(&rig, next);
        starve_after(-1);
    }
    expect_picks("cc");
    close_rig();
}
END_TEST

START_TEST(without_memory_no_pool_is_made)
{
    struct pool *p = NULL;
    pool_rig_open(&rig, A "\n");
    const struct config_pool *conf = pool_rig_conf(&rig, A "\n" B " backup\n");
    const struct pool_events events = { 0 };
    for (long grants = 0; grants < 8; grants++) {
        errno = 0;
        starve_after(grants);
        p = pool_new(conf, &rig.grace, &events);
        starve_after(-1);
        ck_assert_ptr_null(p);
        ck_assert_int_eq(errno, ENOMEM);
    }
    close_rig();
}
END_TEST

/* The set stays as it is, and the server that is down is refused. */
START_TEST(without_memory_a_server_that_is_down_gets_nothing)
{
    pool_rig_open(&rig, A "\n" B "\n");
    pool_set_up(rig.pool, named("a"), false, now());
    starve_after(0);
    bool again = pool_tidy(rig.pool);
    starve_after(-1);
    ck_assert(again);
    expect_picks("bb");
    pool_rig_tidy(&rig);
    expect_picks("bb");
    close_rig();
}
END_TEST

/* ---- files ---- */

/* The line "file = …" for a file in the directory of this test. */
static const char *file_line(void)
{
    static char line[256];
    snprintf(line, sizeof line, "file = %s/answer\n", dir);
    return line;
}

START_TEST(a_pool_with_a_file_has_no_servers)
{
    write_file("answer", "sorry\n");
    pool_rig_open(&rig, file_line());
    struct answer_file *f = pool_file(rig.pool);
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(f->length, 6);
    expect_refusal(POOL_NO_SERVER);
    answer_file_ref(f); /* for a session */
    pool_rig_update(&rig, A "\n");
    ck_assert_ptr_null(pool_file(rig.pool));
    ck_assert_int_eq((int)lseek(f->fd, 0, SEEK_END), 6);
    answer_file_unref(f);
    close_rig();
}
END_TEST

START_TEST(an_update_opens_the_file_again)
{
    write_file("answer", "old");
    pool_rig_open(&rig, file_line());
    unlink("answer");
    write_file("answer", "brand new");
    ck_assert_int_eq(pool_file(rig.pool)->length, 3);
    pool_rig_update(&rig, file_line());
    ck_assert_int_eq(pool_file(rig.pool)->length, 9);
    close_rig();
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_changes_nothing)
{
    pool_rig_open(&rig, A "\n");
    struct config_pool conf = *pool_conf(rig.pool);
    conf.file = (char *)"nowhere";
    conf.server_count = 0;
    ck_assert_int_eq(pool_rig_put(&rig, &conf), -ENOENT);
    conf.file = (char *)".";
    ck_assert_int_eq(pool_rig_put(&rig, &conf), -EMEDIUMTYPE);
    ck_assert_ptr_null(pool_file(rig.pool));
    ck_assert_uint_eq(rig.changed, 0);
    expect_picks("a");
    const struct pool_events events = { 0 };
    ck_assert_ptr_null(pool_new(&conf, &rig.grace, &events));
    ck_assert_int_eq(errno, EMEDIUMTYPE);
    close_rig();
}
END_TEST

/* ---- commands ---- */

START_TEST(a_state_and_a_weight_apply_to_the_next_session)
{
    pool_rig_open(&rig, A "\n" B "\n");
    pool_set_state(rig.pool, named("a"), CONFIG_STATE_DRAIN, now());
    expect_picks("bbb");
    pool_set_state(rig.pool, named("b"), CONFIG_STATE_MAINT, now());
    expect_refusal(POOL_NO_SERVER);
    pool_set_state(rig.pool, named("a"), CONFIG_STATE_READY, now());
    expect_picks("aa");
    pool_set_state(rig.pool, named("b"), CONFIG_STATE_READY, now());
    pool_set_weight(rig.pool, named("a"), 3, now());
    unsigned a = 0;
    for (int i = 0; i < 8; i++)
        a += pool_rig_pick(&rig, NULL) == named("a");
    ck_assert_uint_eq(a, 6);
    close_rig();
}
END_TEST

/* For each policy but random, whose peek is one of the possible picks. */
START_TEST(the_peeked_server_is_picked_and_a_peek_changes_nothing)
{
    static const char *const balance[] = { "round_robin", "least_conn", "hash", "first" };
    char lines[256];
    snprintf(lines, sizeof lines, A " weight=3\n" B " max_connections=5\nbalance = %s\n",
             balance[_i]);
    pool_rig_open(&rig, lines);
    for (uint64_t key = 0; key < 30; key++) {
        enum pool_refusal refusal = POOL_NO_SERVER;
        const struct pick_request ask = { .key = key, .now = now() };
        uint64_t before = server_active(named("a")) + server_active(named("b"));
        struct server *srv = pool_peek(rig.pool, &ask, &refusal);
        for (int again = 0; again < 3; again++)
            ck_assert_ptr_eq(pool_peek(rig.pool, &ask, &refusal), srv);
        ck_assert_uint_eq(server_active(named("a")) + server_active(named("b")), before);
        ck_assert_ptr_eq(pool_pick(rig.pool, &ask, &refusal), srv);
    }
    close_rig();
}
END_TEST

START_TEST(a_server_is_added_and_removed_at_run_time)
{
    struct config_server line = { .name = (char *)"x", .weight = 1 };
    const char *why = NULL;
    ck_assert_int_eq(addr_parse(&line.addr, "10.0.0.9:80", &why), 0);
    pool_rig_open(&rig, A "\n");
    ck_assert_int_eq(pool_add_server(rig.pool, &line), 0);
    ck_assert_int_eq(pool_add_server(rig.pool, &line), -EEXIST);
    ck_assert(pool_was_added(rig.pool, named("x")));
    expect_picks("ax");
    struct server *x = named("x");
    ck_assert_int_eq(pool_del_server(rig.pool, named("a")), -ENOENT);
    ck_assert_int_eq(pool_del_server(rig.pool, x), 0);
    expect_picks("aa");
    pool_rig_release(&rig, x);
    close_rig();
}
END_TEST

static void add_orders(TCase *t)
{
    tcase_add_test(t, a_state_and_a_weight_apply_to_the_next_session);
    tcase_add_loop_test(t, the_peeked_server_is_picked_and_a_peek_changes_nothing, 0, 4);
    tcase_add_test(t, a_server_is_added_and_removed_at_run_time);
}

static void add_picking(TCase *t)
{
    tcase_add_test(t, a_full_server_is_skipped_until_a_slot_is_free);
    tcase_add_test(t, if_all_are_full_none_is_picked);
    tcase_add_test(t, backups_are_picked_only_without_regular_servers);
    tcase_add_test(t, servers_below_their_share_come_first);
    tcase_add_test(t, no_session_leaves_by_which_a_server_falls_below_its_share);
    tcase_add_test(t, drained_and_maintained_servers_get_nothing);
    tcase_add_test(t, no_usable_server_and_no_free_slot_are_told_apart);
    tcase_add_test(t, a_tried_server_is_not_picked_again);
    tcase_add_test(t, a_failed_connect_is_logged_once_a_second);
}

static void add_failures(TCase *t)
{
    tcase_add_test(t, failed_connects_take_a_server_out_for_a_while);
    tcase_add_test(t, failures_far_apart_do_not_count);
    tcase_add_test(t, one_session_probes_after_the_time_out);
    tcase_add_test(t, a_probe_that_fails_takes_the_server_out_again);
    tcase_add_test(t, if_the_probing_client_leaves_another_session_probes);
    tcase_add_test(t, the_last_usable_server_is_never_taken_out);
    tcase_add_test(t, a_backup_counts_as_usable);
    tcase_add_test(t, a_server_that_is_down_does_not_count_as_usable);
    tcase_add_test(t, with_max_fails_0_no_server_is_taken_out);
    tcase_add_test(t, without_usable_servers_one_that_is_out_is_picked);
    tcase_add_test(t, a_passed_check_resets_failed_connects);
    tcase_add_test(t, a_recovered_server_begins_with_a_small_share);
    tcase_add_test(t, servers_in_slow_start_together_share_equally);
}

static void add_waiting(TCase *t)
{
    tcase_add_test(t, a_released_slot_goes_to_the_head_of_the_queue);
    tcase_add_test(t, the_queue_is_bounded);
    tcase_add_test(t, a_slot_that_has_just_come_free_is_acquired_at_once);
    tcase_add_test(t, a_session_that_tried_the_server_is_skipped_and_keeps_its_position);
    tcase_add_test(t, a_session_that_leaves_passes_its_slot_on);
    tcase_add_test(t, no_slot_is_granted_on_a_server_that_is_out_or_down);
    tcase_add_test(t, if_the_last_server_goes_down_all_waits_end);
    tcase_add_test(t, if_the_last_server_is_drained_all_waits_end);
    tcase_add_test(t, a_session_that_tried_all_remaining_servers_stops_waiting);
    tcase_add_test(t, a_waiting_session_probes_after_the_time_out);
    tcase_add_test(t, a_session_that_leaves_passes_its_probe_on);
    tcase_add_test(t, while_a_session_waits_tidying_goes_on_until_the_probe);
    tcase_add_test(t, without_usable_servers_a_waiting_session_gets_one_that_is_out);
    tcase_add_test(t, waiting_sessions_get_slots_of_new_servers);
    tcase_add_test(t, after_a_lowered_limit_slots_are_granted_only_below_it);
    tcase_add_test(t, waiting_sessions_get_slots_of_a_server_that_is_ready_again);
}

static void add_down(TCase *t)
{
    tcase_add_test(t, sessions_wait_while_no_server_is_usable);
    tcase_add_test(t, a_session_that_failed_waits_until_a_server_comes_up);
    tcase_add_test(t, a_new_session_goes_behind_those_that_wait_for_a_server);
    tcase_add_test(t, the_last_server_is_taken_out_for_a_second_and_then_probed);
    tcase_add_test(t, during_slow_start_waiting_sessions_start_gradually);
    tcase_add_test(t, a_paused_pool_grants_no_slot);
    tcase_add_test(t, if_the_pool_is_removed_sessions_stop_waiting_for_servers_that_are_down);
}

static void add_updates(TCase *t)
{
    tcase_add_test(t, an_update_keeps_sessions_health_and_rotation);
    tcase_add_test(t, a_removed_server_is_freed_after_its_last_session);
    tcase_add_test(t, objects_that_a_worker_may_see_are_kept);
    tcase_add_test(t, addresses_of_a_name_become_servers);
    tcase_add_test(t, without_memory_an_update_changes_nothing);
    tcase_add_test(t, without_memory_no_pool_is_made);
    tcase_add_test(t, without_memory_a_server_that_is_down_gets_nothing);
    tcase_add_test(t, a_pool_with_a_file_has_no_servers);
    tcase_add_test(t, an_update_opens_the_file_again);
    tcase_add_test(t, a_file_that_cannot_be_opened_changes_nothing);
}

static void add(TCase *t)
{
    tcase_add_checked_fixture(t, begin, end);
    add_picking(t);
    add_failures(t);
    add_waiting(t);
    add_down(t);
    add_updates(t);
    add_orders(t);
}

int main(void)
{
    return config_rig_main("pool", add);
}
