#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "balance/health.h"
#include "base/grace.h"
#include "base/log.h"
#include "relay/sock.h"
#include "suite.h"

#define SERVERS_MAX 1000
#define INTERVAL    20  /* ms */
#define PATIENCE    300 /* s, of the watchdog; far more than needed */

/* A pool and servers that listen or not. */
static struct {
    uv_loop_t loop;
    uv_timer_t tick; /* wakes the loop, so that the test can check its condition */
    struct grace grace;
    struct health *health;
    struct pool *pool;
    struct config_pool conf[2]; /* before and after an update */
    struct config_server servers[SERVERS_MAX];
    char names[SERVERS_MAX][8];
    int listeners[SERVERS_MAX]; /* -1: not listening */
    FILE *log;
    struct server *went_down; /* reported by the callback */
    uint64_t streak;          /* its failures in a row then */
    void (*when_down)(void);
} r;

/* ---- rig ---- */

static uint64_t now_of_loop(void *arg)
{
    (void)arg;
    return uv_now(&r.loop);
}

static void on_changed(void *arg, struct pool *p)
{
    (void)arg;
    ck_assert_int_eq(health_sync(r.health, p), 0);
}

static void on_untidy(void *arg)
{
    (void)arg;
}

static const struct pool_events events = { now_of_loop, on_changed, on_untidy, NULL };

static void on_went_down(void *arg, struct pool *p, struct server *srv)
{
    (void)arg;
    ck_assert_ptr_eq(p, r.pool);
    r.went_down = srv;
    r.streak = health_find_state(r.health, p, srv)->streak;
    if (r.when_down != NULL)
        r.when_down();
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* ---- servers ---- */

static void set_listening(size_t i, bool listening)
{
    if (r.listeners[i] != -1)
        close(r.listeners[i]);
    r.listeners[i] = -1;
    if (listening) {
        r.listeners[i] = sock_bind(&r.servers[i].addr, &(struct sock_options){ 0 },
                                   &(struct file_id){ .ino = 0 });
        ck_assert_int_eq(listen(r.listeners[i], 16), 0);
    }
}

/* An unused address for each server, in 127.0.0.0/8. */
static void choose_addresses(void)
{
    struct addr any = { .len = sizeof any.in };
    any.in.sin_family = AF_INET;
    any.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = sock_bind(&any, &(struct sock_options){ 0 }, &(struct file_id){ .ino = 0 });
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(getsockname(fd, &any.sa, &any.len), 0);
    close(fd);
    for (uint32_t i = 0; i < SERVERS_MAX; i++) {
        struct config_server *s = &r.servers[i];
        snprintf(r.names[i], sizeof r.names[i], "s%u", i);
        s->name = r.names[i];
        s->weight = 1;
        s->addr = any;
        s->addr.in.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 256 + i);
        r.listeners[i] = -1;
    }
}

static void open_rig(void)
{
    char path[] = "/tmp/zproxy-check-health-XXXXXX";
    const struct log_settings settings = {
        .log = { LOG_TARGET_FILE, 0, path },
        .access = { LOG_TARGET_OFF, 0, NULL },
        .level = LOG_LEVEL_DEBUG,
        .owner = (uid_t)-1,
        .group = (gid_t)-1,
    };
    memset(&r, 0, sizeof r);
    int fd = mkstemp(path);
    ck_assert_int_eq(log_open(&settings, &(const char *){ NULL }), 0);
    r.log = fdopen(fd, "r");
    unlink(path);
    r.conf[0] = (struct config_pool){
        .name = (char *)"p",
        .server = r.servers,
        .check = CONFIG_CHECK_TCP,
        .check_interval = INTERVAL,
        .check_timeout = 1000,
        .check_rise = 2,
        .check_fall = 3,
        .retries = 2,
    };
    choose_addresses();
    uv_loop_init(&r.loop);
    uv_timer_init(&r.loop, &r.tick);
    uv_timer_start(&r.tick, on_tick, 5, 5);
    grace_init(&r.grace);
    ck_assert_int_eq(health_new(&r.health, &r.loop, on_went_down, NULL), 0);
}

static void close_rig(void)
{
    health_close(r.health);
    uv_close((uv_handle_t *)&r.tick, NULL);
    uv_run(&r.loop, UV_RUN_DEFAULT);
    ck_assert_int_eq(uv_loop_close(&r.loop), 0);
    grace_fini(&r.grace);
    pool_free(r.pool);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        set_listening(i, false);
    log_close();
    fclose(r.log);
}

static void make_pool(size_t count)
{
    r.conf[0].server_count = count;
    r.pool = pool_new(&r.conf[0], &r.grace, &events);
    ck_assert_ptr_nonnull(r.pool);
    ck_assert_int_eq(health_sync(r.health, r.pool), 0);
}

/* A reload with other settings and the first `count` servers. */
static struct config_pool *other_settings(size_t count)
{
    r.conf[1] = r.conf[0];
    r.conf[1].server_count = count;
    return &r.conf[1];
}

static void reload(void)
{
    struct pool_update *update = NULL;
    ck_assert_int_eq(pool_prepare(r.pool, &r.conf[1], &update), 0);
    pool_commit(update);
}

static struct server *server(size_t i)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(r.pool, &count);
    ck_assert_uint_lt(i, count);
    return servers[i];
}

static const struct health_state *state_of(size_t i)
{
    const struct health_state *result = health_find_state(r.health, r.pool, server(i));
    ck_assert_ptr_nonnull(result);
    return result;
}

static bool is_up(size_t i)
{
    ck_assert_int_eq(state_of(i)->up, server_is_eligible(server(i)));
    return state_of(i)->up;
}

static uint64_t checks_of(size_t i)
{
    return state_of(i)->successes + state_of(i)->failures;
}

#define run_until(condition) \
    while (!(condition))     \
    uv_run(&r.loop, UV_RUN_ONCE)

static void run_checks(size_t i, uint64_t more)
{
    uint64_t enough = checks_of(i) + more;
    run_until(checks_of(i) >= enough);
}

/* The next line of the log that contains text. */
static void expect_logged(const char *text)
{
    char line[LOG_LINE_MAX];
    while (fgets(line, sizeof line, r.log) != NULL)
        if (strstr(line, text) != NULL)
            return;
    ck_abort_msg("not in the log: %s", text);
}

/* ---- tests ---- */

START_TEST(a_server_is_up_until_its_first_check_fails)
{
    set_listening(0, true);
    r.conf[0].on_down = CONFIG_ON_DOWN_CLOSE;
    make_pool(2);
    ck_assert(is_up(0) && is_up(1));
    run_until(checks_of(0) > 0 && checks_of(1) > 0);
    ck_assert(is_up(0) && !is_up(1));
    ck_assert_uint_eq(r.streak, 1);
    ck_assert_str_eq(state_of(0)->why, "connected");
    ck_assert_str_eq(state_of(1)->why, "connection refused");
}
END_TEST

START_TEST(fall_failures_take_a_server_down_and_rise_successes_bring_it_back)
{
    set_listening(0, true);
    r.conf[0].on_down = CONFIG_ON_DOWN_CLOSE;
    make_pool(1);
    run_checks(0, 1);
    set_listening(0, false);
    run_until(!is_up(0));
    ck_assert_uint_eq(r.streak, 3);
    run_checks(0, 2);
    set_listening(0, true);
    run_until(is_up(0));
    ck_assert_uint_ge(state_of(0)->streak, 2);
}
END_TEST

START_TEST(only_a_recovered_server_has_a_slow_start)
{
    r.conf[0].slow_start = 3600 * 1000;
    set_listening(0, true);
    make_pool(1);
    run_checks(0, 3);
    ck_assert_uint_eq(server_share(server(0), uv_now(&r.loop)), SERVER_FULL_SHARE);
    set_listening(0, false);
    run_until(!is_up(0));
    set_listening(0, true);
    run_until(is_up(0));
    ck_assert_uint_lt(server_share(server(0), uv_now(&r.loop)), SERVER_FULL_SHARE);
}
END_TEST

START_TEST(the_log_has_the_reason)
{
    set_listening(0, true);
    set_listening(1, true);
    make_pool(2);
    run_checks(0, 1);
    run_checks(1, 1);
    set_listening(1, false);
    run_until(!is_up(1));
    expect_logged("level=debug event=check_failed pool=p server=s1 ");
    expect_logged("level=warning event=server_down pool=p server=s1 ");
    ck_assert_int_eq(fseek(r.log, 0, SEEK_SET), 0);
    expect_logged("reason=\"connection refused\" duration_ms=");
    expect_logged("servers_up=1 servers=2");
    set_listening(0, false);
    run_until(!is_up(0));
    expect_logged("level=warning event=server_down pool=p server=s0 ");
    expect_logged("level=error event=pool_down pool=p ");
    set_listening(0, true);
    run_until(is_up(0));
    expect_logged("level=notice event=server_up pool=p server=s0 ");
    expect_logged("level=notice event=pool_up pool=p ");
}
END_TEST

START_TEST(the_reason_of_the_last_check_is_kept)
{
    r.conf[0].check = CONFIG_CHECK_SEND;
    r.conf[0].check_timeout = INTERVAL;
    r.conf[0].check_expect = (struct config_bytes){ (char *)"+PONG", 5 };
    set_listening(0, true); /* accepts, and never answers */
    make_pool(1);
    run_until(!is_up(0));
    ck_assert_str_eq(state_of(0)->why, "timeout after 20 ms while waiting for \"+PONG\"");
    ck_assert_uint_ge(state_of(0)->duration, INTERVAL);
}
END_TEST

START_TEST(probes_go_to_check_address)
{
    r.servers[0].check_address = r.servers[1].addr;
    set_listening(1, true);
    make_pool(1);
    run_checks(0, 3);
    ck_assert(is_up(0));
    set_listening(0, true);
    set_listening(1, false);
    run_until(!is_up(0));
}
END_TEST

START_TEST(probes_go_to_check_port)
{
    uint16_t port = (uint16_t)(addr_port(&r.servers[0].addr) ^ 1);
    r.servers[1].addr = r.servers[0].addr;
    addr_set_port(&r.servers[1].addr, port);
    r.conf[0].check_port = port;
    set_listening(1, true);
    make_pool(1);
    run_checks(0, 3);
    ck_assert(is_up(0));
    set_listening(0, true);
    set_listening(1, false);
    run_until(!is_up(0));
}
END_TEST

START_TEST(a_server_in_maintenance_is_not_checked)
{
    r.servers[0].state = CONFIG_STATE_MAINT;
    r.conf[0].on_down = CONFIG_ON_DOWN_CLOSE;
    make_pool(2);
    run_checks(1, 10);
    ck_assert_uint_eq(checks_of(0), 0);
    ck_assert(state_of(0)->up);
    set_listening(0, true);
    atomic_store(&server(0)->state, CONFIG_STATE_READY);
    run_checks(0, 3);
    set_listening(0, false);
    atomic_store(&server(0)->state, CONFIG_STATE_MAINT);
    uint64_t before = checks_of(0);
    run_checks(1, 10);
    ck_assert_uint_le(checks_of(0), before + 1); /* one may have been on its way */
    ck_assert(state_of(0)->up);
    atomic_store(&server(0)->state, CONFIG_STATE_READY);
    run_until(!state_of(0)->up);
    ck_assert_uint_le(r.streak, 2); /* the first check decided again */
}
END_TEST

START_TEST(servers_that_stay_keep_their_state)
{
    set_listening(0, true);
    make_pool(2);
    run_until(checks_of(0) >= 5 && !is_up(1));
    struct server *stays = server(1);
    uint64_t failures = state_of(1)->failures;
    other_settings(3)->check_interval = 2 * INTERVAL;
    reload();
    ck_assert_ptr_eq(server(1), stays);
    ck_assert_uint_eq(state_of(1)->failures, failures);
    ck_assert(!is_up(1));
    ck_assert_uint_eq(checks_of(2), 0);
    run_until(!is_up(2));
    run_checks(0, 3);
}
END_TEST

START_TEST(removed_servers_are_not_checked)
{
    make_pool(3);
    run_checks(2, 2);
    struct server *leaves = server(2);
    other_settings(2);
    reload();
    ck_assert_ptr_null(health_find_state(r.health, r.pool, leaves));
    run_checks(0, 5);
}
END_TEST

START_TEST(without_checks_all_servers_are_up)
{
    make_pool(2);
    run_until(!is_up(0) && !is_up(1));
    other_settings(2)->check = CONFIG_CHECK_NONE;
    reload();
    for (size_t i = 0; i < 2; i++) {
        ck_assert(server_is_eligible(server(i)));
        ck_assert_ptr_null(health_find_state(r.health, r.pool, server(i)));
    }
    expect_logged("event=server_up pool=p server=s0 ");
}
END_TEST

START_TEST(a_removed_pool_may_be_freed)
{
    make_pool(2);
    run_checks(0, 1);
    health_remove_pool(r.health, r.pool);
    ck_assert_ptr_null(health_find_state(r.health, r.pool, server(0)));
    uint64_t later = uv_now(&r.loop) + 5 * INTERVAL;
    run_until(uv_now(&r.loop) >= later);
}
END_TEST

START_TEST(sessions_are_closed_only_with_on_down_close)
{
    r.conf[0].on_down = _i == 0 ? CONFIG_ON_DOWN_KEEP : CONFIG_ON_DOWN_CLOSE;
    make_pool(1);
    run_until(!is_up(0));
    ck_assert_ptr_eq(r.went_down, _i == 0 ? NULL : server(0));
}
END_TEST

static void end_all_checks(void)
{
    health_close(r.health);
    r.health = NULL;
}

static void forget_pool(void)
{
    health_remove_pool(r.health, r.pool);
}

static void reload_all(void)
{
    other_settings(SERVERS_MAX / 2)->on_down = CONFIG_ON_DOWN_KEEP;
    reload();
}

START_TEST(the_callback_may_change_the_pool)
{
    static void (*const changes[])(void) = { end_all_checks, forget_pool, reload_all };
    r.conf[0].on_down = CONFIG_ON_DOWN_CLOSE;
    r.when_down = changes[_i];
    make_pool(SERVERS_MAX);
    run_until(r.went_down != NULL);
    r.when_down = NULL;
    uint64_t later = uv_now(&r.loop) + 5 * INTERVAL;
    run_until(uv_now(&r.loop) >= later);
}
END_TEST

START_TEST(a_thousand_servers_are_checked)
{
    for (size_t i = 0; i < SERVERS_MAX; i++)
        set_listening(i, i % 3 == 0);
    make_pool(SERVERS_MAX);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        run_until(checks_of(i) >= 4);
    for (size_t i = 0; i < SERVERS_MAX; i++)
        ck_assert_int_eq(is_up(i), i % 3 == 0);
}
END_TEST

START_TEST(a_local_error_is_no_result)
{
    struct rlimit before;
    set_listening(0, true);
    make_pool(2);
    run_until(checks_of(0) > 0 && !is_up(1));
    uint64_t checks = checks_of(0);
    getrlimit(RLIMIT_NOFILE, &before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 0, before.rlim_max });
    uint64_t later = uv_now(&r.loop) + 10 * INTERVAL;
    run_until(uv_now(&r.loop) >= later);
    setrlimit(RLIMIT_NOFILE, &before);
    ck_assert_uint_le(checks_of(0), checks + 1); /* one may have been on its way */
    ck_assert(is_up(0) && !is_up(1));
    run_checks(0, 2);
    expect_logged("level=warning event=check_impossible msg=\"too many open files: ");
    ck_assert_int_eq(fseek(r.log, 0, SEEK_SET), 0);
    int lines = 0;
    char line[LOG_LINE_MAX];
    while (fgets(line, sizeof line, r.log) != NULL)
        lines += strstr(line, "check_impossible") != NULL;
    ck_assert_int_eq(lines, 1);
}
END_TEST

START_TEST(a_restored_state_holds_until_the_first_check)
{
    set_listening(0, true);
    make_pool(1);
    pool_set_up(r.pool, server(0), false, uv_now(&r.loop)); /* as an upgrade restores it */
    run_until(checks_of(0) > 0);
    ck_assert(is_up(0));
    expect_logged("event=server_up pool=p server=s0 ");
}
END_TEST

START_TEST(closing_ends_running_checks)
{
    r.conf[0].check = CONFIG_CHECK_SEND;
    r.conf[0].check_expect = (struct config_bytes){ (char *)"x", 1 };
    for (size_t i = 0; i < 50; i++)
        set_listening(i, true);
    make_pool(50);
    uint64_t later = uv_now(&r.loop) + 3 * INTERVAL;
    run_until(uv_now(&r.loop) >= later);
}
END_TEST

/* A thousand servers need more descriptors than the usual soft limit of 1024 allows. */
static void raise_limit(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int main(void)
{
    raise_limit();
    Suite *s = suite_create("health");
    TCase *t = tcase_create("health");
    tcase_add_checked_fixture(t, open_rig, close_rig);
    tcase_set_timeout(t, PATIENCE);
    tcase_add_test(t, a_server_is_up_until_its_first_check_fails);
    tcase_add_test(t, fall_failures_take_a_server_down_and_rise_successes_bring_it_back);
    tcase_add_test(t, only_a_recovered_server_has_a_slow_start);
    tcase_add_test(t, the_log_has_the_reason);
    tcase_add_test(t, the_reason_of_the_last_check_is_kept);
    tcase_add_test(t, probes_go_to_check_address);
    tcase_add_test(t, probes_go_to_check_port);
    tcase_add_test(t, a_server_in_maintenance_is_not_checked);
    tcase_add_test(t, servers_that_stay_keep_their_state);
    tcase_add_test(t, removed_servers_are_not_checked);
    tcase_add_test(t, without_checks_all_servers_are_up);
    tcase_add_test(t, a_removed_pool_may_be_freed);
    tcase_add_loop_test(t, sessions_are_closed_only_with_on_down_close, 0, 2);
    tcase_add_loop_test(t, the_callback_may_change_the_pool, 0, 3);
    tcase_add_test(t, a_thousand_servers_are_checked);
    tcase_add_test(t, a_local_error_is_no_result);
    tcase_add_test(t, a_restored_state_holds_until_the_first_check);
    tcase_add_test(t, closing_ends_running_checks);
    suite_add_tcase(s, t);
    return suite_main(s);
}
