#include "handover/upgrade.h"

#include <stdlib.h>
#include <string.h>

#include "handover/handover_receive.h"
#include "starve.h"
#include "suite.h"

static uv_loop_t loop;
static struct runtime rt;
static struct upgrade upgrade;

static void on_handed_over(void *arg, int pid, uint64_t staying)
{
    (void)arg;
    (void)pid;
    (void)staying;
    ck_abort_msg("%s", "no upgrade succeeds here");
}

static void begin(void)
{
    static const struct worker_setup setup = { .index = 0 };
    static char name[] = "check_upgrade";
    static char *const argv[] = { name, NULL };
    memset(&rt, 0, sizeof rt);
    ck_assert_int_eq(uv_loop_init(&loop), 0);
    rt.loop = &loop;
    rt.notify.fd = -1;
    workers_init(&rt.workers, &setup, false);
    ck_assert_int_eq(upgrade_init(&upgrade, &rt, argv, on_handed_over, NULL), 0);
}

static void end(void)
{
    upgrade_fini(&upgrade);
    workers_fini(&rt.workers);
    ck_assert_int_eq(uv_loop_close(&loop), 0);
}

/* The upgrade starts this test program again, which ends at once: see main(). */
START_TEST(a_failed_upgrade_leaves_nothing)
{
    for (int i = 0; i < 3; i++) {
        upgrade_start(&upgrade);
        ck_assert(upgrade.busy);
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert(!upgrade.busy);
    }
}
END_TEST

/* libuv aborts if a handle is closed that was not opened. */
START_TEST(an_upgrade_without_memory_leaves_nothing)
{
    bool started = false;
    for (int memory = 0; memory < 30; memory++) {
        starve_after(memory);
        upgrade_start(&upgrade);
        starve_after(-1);
        started = upgrade.spawn.pid != 0;
        uv_run(&loop, UV_RUN_DEFAULT);
        ck_assert(!upgrade.busy);
    }
    ck_assert_msg(started, "30 allocations are not enough");
}
END_TEST

START_TEST(an_upgrade_can_be_cancelled_at_once)
{
    upgrade_start(&upgrade);
    upgrade_cancel(&upgrade, "not wanted");
    uv_run(&loop, UV_RUN_DEFAULT);
    ck_assert(!upgrade.busy);
    upgrade_cancel(&upgrade, "none in progress");
}
END_TEST

int main(void)
{
    if (getenv(HANDOVER_ENVIRONMENT) != NULL)
        return 3;
    Suite *s = suite_create("upgrade");
    TCase *t = tcase_create("upgrade");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_failed_upgrade_leaves_nothing);
    tcase_add_test(t, an_upgrade_without_memory_leaves_nothing);
    tcase_add_test(t, an_upgrade_can_be_cancelled_at_once);
    suite_add_tcase(s, t);
    return suite_main(s);
}
