#include <stdlib.h>
#include <string.h>

#include "balance/pool.h"
#include "suite.h"

static struct config_server servers[4];
static struct config_pool conf = { .name = (char *)"p", .server = servers, .retries = 3 };
static char names[4][2] = { "a", "b", "c", "d" };

static struct pool *make(size_t count)
{
    conf.server_count = count;
    struct pool *p = pool_new(&conf);
    ck_assert_ptr_nonnull(p);
    return p;
}

static void reset_servers(void)
{
    memset(servers, 0, sizeof servers);
    for (int i = 0; i < 4; i++) {
        servers[i].name = names[i];
        servers[i].weight = 1;
    }
}

/* The names of the servers picked one after the other, places kept; "-" for none. */
static void expect_picks(struct pool *p, const char *expected)
{
    for (; *expected != '\0'; expected++) {
        struct backend *b = pool_pick(p, NULL);
        if (*expected == '-')
            ck_assert_ptr_null(b);
        else
            ck_assert_int_eq(b->conf->name[0], *expected);
    }
}

START_TEST(a_full_server_is_passed_over_until_a_place_is_free)
{
    servers[0].max_connections = 1;
    struct pool *p = make(2);
    struct backend *first = pool_pick(p, NULL);
    ck_assert_str_eq(first->conf->name, "a");
    expect_picks(p, "bbb");
    backend_release(first);
    bool back = false;
    for (int i = 0; i < 2; i++)
        back |= strcmp(pool_pick(p, NULL)->conf->name, "a") == 0;
    ck_assert(back);
    pool_free(p);
}
END_TEST

START_TEST(all_full_is_no_server)
{
    servers[0].max_connections = 1;
    servers[1].max_connections = 2;
    struct pool *p = make(2);
    for (int i = 0; i < 3; i++)
        ck_assert_ptr_nonnull(pool_pick(p, NULL));
    expect_picks(p, "--");
    pool_free(p);
}
END_TEST

START_TEST(backups_serve_only_when_no_other_can)
{
    servers[0].max_connections = 1;
    servers[1].backup = true;
    servers[2].backup = true;
    struct pool *p = make(3);
    expect_picks(p, "abcbc");
    pool_free(p);
}
END_TEST

START_TEST(drained_and_maintained_servers_get_nothing)
{
    servers[0].state = CONFIG_STATE_DRAIN;
    servers[1].state = CONFIG_STATE_MAINT;
    struct pool *p = make(3);
    expect_picks(p, "ccc");
    ck_assert(pool_has_one(p));
    pool_free(p);
}
END_TEST

START_TEST(a_server_tried_is_not_picked_again)
{
    struct pool *p = make(4);
    struct pool_tried *tried = NULL;
    bool seen[4] = { false };
    for (int i = 0; i < 4; i++) {
        struct backend *b = pool_pick(p, tried);
        ck_assert_ptr_nonnull(b);
        ck_assert(!seen[b->conf - servers]);
        seen[b->conf - servers] = true;
        ck_assert_int_eq(pool_mark_tried(p, &tried, b), 0);
        backend_release(b);
    }
    ck_assert_ptr_null(pool_pick(p, tried));
    ck_assert(!pool_has_one(p));
    free(tried);
    pool_free(p);
}
END_TEST

START_TEST(a_failed_connect_is_logged_once_a_second)
{
    uint64_t suppressed = 99;
    struct backend b;
    backend_init(&b, &servers[0]);
    ck_assert(backend_may_log(&b, 5000, &suppressed));
    ck_assert_uint_eq(suppressed, 0);
    for (int i = 0; i < 7; i++)
        ck_assert(!backend_may_log(&b, 5001 + (uint64_t)i, &suppressed));
    ck_assert(backend_may_log(&b, 6000, &suppressed));
    ck_assert_uint_eq(suppressed, 7);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_add_checked_fixture(t, reset_servers, NULL);
    tcase_add_test(t, a_full_server_is_passed_over_until_a_place_is_free);
    tcase_add_test(t, all_full_is_no_server);
    tcase_add_test(t, backups_serve_only_when_no_other_can);
    tcase_add_test(t, drained_and_maintained_servers_get_nothing);
    tcase_add_test(t, a_server_tried_is_not_picked_again);
    tcase_add_test(t, a_failed_connect_is_logged_once_a_second);
    suite_add_tcase(s, t);
    return suite_main(s);
}
