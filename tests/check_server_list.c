#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/server_list.h"
#include "config_rig.h"
#include "starve.h"

static struct server_list server_list;
static struct config *confs[16];
static size_t conf_count;
static struct removed_servers removed_servers;

static void begin(void)
{
    server_list_init(&server_list);
    conf_count = 0;
    SLIST_INIT(&removed_servers);
}

static void free_removed(void)
{
    struct server *srv;
    while ((srv = SLIST_FIRST(&removed_servers)) != NULL) {
        SLIST_REMOVE_HEAD(&removed_servers, in_removed);
        server_free(srv);
    }
}

static void end(void)
{
    free_removed();
    server_list_fini(&server_list);
    for (size_t i = 0; i < conf_count; i++)
        config_free(confs[i]);
}

static const struct config_pool *conf_of(const char *lines)
{
    char text[2048];
    snprintf(text, sizeof text, LISTEN "[pool p]\n%s", lines);
    return &(confs[conf_count++] = load_good(text))->pool[0];
}

static void put_in_force(struct server_list_plan *plan)
{
    free_removed();
    server_list_try(plan);
    server_list_apply(&server_list, plan, &removed_servers);
    server_list_plan_free(plan);
}

static const struct config_pool *configure(const char *lines)
{
    const struct config_pool *conf = conf_of(lines);
    struct server_list_plan *plan = NULL;
    ck_assert_int_eq(server_list_plan_config(&server_list, conf, &plan), 0);
    put_in_force(plan);
    return conf;
}

static struct pool_answer answer_of(const char *addr, unsigned weight, bool backup)
{
    struct pool_answer a = { .weight = weight, .backup = backup };
    const char *why = NULL;
    ck_assert_int_eq(addr_parse(&a.addr, addr, &why), 0);
    return a;
}

static int resolve(const struct config_pool *conf, size_t line, const struct pool_answer *answers,
                   size_t count)
{
    struct server_list_plan *plan = NULL;
    int rc = server_list_plan_answers(&server_list, conf, line, answers, count, &plan);
    if (rc > 0)
        put_in_force(plan);
    return rc;
}

static struct server *at(size_t i)
{
    struct server_member members[16];
    ck_assert_uint_lt(i, server_list.count);
    server_list_members(&server_list, members);
    return members[i].server;
}

static unsigned count_removed(void)
{
    unsigned count = 0;
    const struct server *srv;
    SLIST_FOREACH(srv, &removed_servers, in_removed)
        count++;
    return count;
}

/* "a=10.0.0.1:80/2 b=...": names, addresses, weights; '!': a backup. */
static void expect_servers(const char *expected)
{
    char text[1024] = "";
    char addr[ADDR_TEXT_MAX];
    for (size_t i = 0; i < server_list.count; i++) {
        const struct server *srv = at(i);
        sprintf(text + strlen(text), "%s%s=%s/%u%s", i == 0 ? "" : " ", server_name(srv),
                addr_print(&srv->addr, addr), server_weight(srv), srv->backup ? "!" : "");
    }
    ck_assert_str_eq(text, expected);
}

START_TEST(servers_are_in_the_order_of_the_file)
{
    configure("server = 10.0.0.2:80 name=a weight=2\nserver = 10.0.0.1:80 name=b backup\n");
    expect_servers("a=10.0.0.2:80/2 b=10.0.0.1:80/1!");
    ck_assert_uint_eq(count_removed(), 0);
}
END_TEST

START_TEST(a_server_that_stays_is_the_same_object_and_removed_ones_are_returned)
{
    configure("server = 10.0.0.1:80 name=a\nserver = 10.0.0.2:80 name=b\n");
    struct server *a = at(0);
    struct server *srv = at(1);
    atomic_store(&a->fails, 7);
    atomic_store(&a->up, false);
    configure("server = 10.0.0.3:80 name=c\nserver = 10.0.0.1:80 name=a\n");
    expect_servers("c=10.0.0.3:80/1 a=10.0.0.1:80/1");
    ck_assert_ptr_eq(at(1), a);
    ck_assert_uint_eq(a->fails, 7);
    ck_assert(!a->up);
    ck_assert_uint_eq(count_removed(), 1);
    ck_assert_ptr_eq(SLIST_FIRST(&removed_servers), srv);
}
END_TEST

START_TEST(run_time_settings_stay_until_the_file_changes_them)
{
    const char *lines = "server = 10.0.0.1:80 weight=2 max_connections=5\n";
    configure(lines);
    struct server *srv = at(0);
    atomic_store(&srv->weight, 9);
    atomic_store(&srv->max_connections, 1);
    atomic_store(&srv->state, CONFIG_STATE_DRAIN);
    configure(lines);
    ck_assert_uint_eq(srv->weight, 9);
    ck_assert_uint_eq(srv->max_connections, 1);
    ck_assert_int_eq(srv->state, CONFIG_STATE_DRAIN);
    configure("server = 10.0.0.1:80 weight=3 max_connections=5\n");
    ck_assert_uint_eq(srv->weight, 3);
    ck_assert_uint_eq(srv->max_connections, 1);
    configure("server = 10.0.0.1:80 weight=3 max_connections=6 state=maint\n");
    ck_assert_uint_eq(srv->max_connections, 6);
    ck_assert_int_eq(srv->state, CONFIG_STATE_MAINT);
}
END_TEST

START_TEST(a_plan_that_is_not_applied_changes_nothing)
{
    configure("server = 10.0.0.1:80 name=a weight=2\nserver = 10.0.0.2:80 name=b\n");
    atomic_store(&at(0)->weight, 9);
    struct server_list_plan *plan = NULL;
    const struct config_pool *conf = conf_of("server = 10.0.0.1:80 name=z weight=4 state=maint\n"
                                             "server = 10.0.0.9:80\n");
    ck_assert_int_eq(server_list_plan_config(&server_list, conf, &plan), 0);
    expect_servers("a=10.0.0.1:80/9 b=10.0.0.2:80/1");
    server_list_try(plan);
    ck_assert_uint_eq(at(0)->weight, 4);
    server_list_revert(plan);
    server_list_plan_free(plan);
    expect_servers("a=10.0.0.1:80/9 b=10.0.0.2:80/1");
    ck_assert_int_eq(at(0)->state, CONFIG_STATE_READY);
}
END_TEST

START_TEST(a_new_name_for_an_address_renames_the_server)
{
    configure("server = 10.0.0.1:80 name=a\n");
    struct server *srv = at(0);
    const char *before = server_name(srv);
    configure("server = 10.0.0.1:80 name=new\n");
    ck_assert_ptr_eq(at(0), srv);
    ck_assert_str_eq(server_name(srv), "new");
    ck_assert_str_eq(before, "a"); /* a worker may be writing it to the log */
}
END_TEST

START_TEST(one_address_with_two_names_is_two_servers)
{
    configure("server = 10.0.0.1:80 name=a\nserver = 10.0.0.1:80 name=b\n");
    struct server *a = at(0);
    struct server *srv = at(1);
    ck_assert_ptr_ne(a, srv);
    configure("server = 10.0.0.1:80 name=b\nserver = 10.0.0.1:80 name=a\n");
    ck_assert_ptr_eq(at(0), srv);
    ck_assert_ptr_eq(at(1), a);
    configure("server = 10.0.0.1:80 name=b\n");
    ck_assert_ptr_eq(at(0), srv);
    ck_assert_ptr_eq(SLIST_FIRST(&removed_servers), a);
}
END_TEST

START_TEST(a_backup_may_become_regular)
{
    configure("server = 10.0.0.1:80 name=a backup\nserver = 10.0.0.2:80 name=b\n");
    struct server *a = at(0);
    configure("server = 10.0.0.1:80 name=a\nserver = 10.0.0.2:80 name=b backup\n");
    ck_assert_ptr_eq(at(0), a);
    expect_servers("a=10.0.0.1:80/1 b=10.0.0.2:80/1!");
}
END_TEST

START_TEST(a_name_is_replaced_by_its_addresses)
{
    const struct config_pool *conf =
        configure("server = db.example:80 name=db weight=3\nserver = 10.0.0.1:80 name=a\n");
    expect_servers("a=10.0.0.1:80/1");
    const struct pool_answer answers[] = { answer_of("10.0.1.1:80", 0, false),
                                           answer_of("10.0.1.2:80", 7, true) };
    ck_assert_int_eq(resolve(conf, 0, answers, 2), 1);
    expect_servers("db=10.0.1.1:80/3 db=10.0.1.2:80/7! a=10.0.0.1:80/1");
}
END_TEST

START_TEST(servers_whose_address_stays_in_the_answer_are_kept)
{
    const struct config_pool *conf = configure("server = db.example:80\n");
    const struct pool_answer before[] = { answer_of("10.0.1.1:80", 0, false),
                                          answer_of("10.0.1.2:80", 0, false) };
    const struct pool_answer after[] = { answer_of("10.0.1.2:80", 0, false),
                                         answer_of("10.0.1.3:80", 0, false) };
    resolve(conf, 0, before, 2);
    struct server *stays = at(1);
    struct server *goes = at(0);
    atomic_store(&stays->weight, 9);
    ck_assert_int_eq(resolve(conf, 0, after, 2), 1);
    ck_assert_ptr_eq(at(0), stays);
    ck_assert_uint_eq(stays->weight, 9);
    ck_assert_uint_eq(count_removed(), 1);
    ck_assert_ptr_eq(SLIST_FIRST(&removed_servers), goes);
}
END_TEST

START_TEST(the_same_answers_change_nothing)
{
    const struct config_pool *conf = configure("server = db.example:80\n");
    const struct pool_answer answers[] = { answer_of("10.0.1.1:80", 2, false) };
    const struct pool_answer weight[] = { answer_of("10.0.1.1:80", 3, false) };
    ck_assert_int_eq(resolve(conf, 0, answers, 1), 1);
    struct server *srv = at(0);
    ck_assert_int_eq(resolve(conf, 0, answers, 1), 0);
    ck_assert_ptr_eq(at(0), srv);
    ck_assert_int_eq(resolve(conf, 0, weight, 1), 1);
    ck_assert_ptr_eq(at(0), srv);
    ck_assert_uint_eq(srv->weight, 3);
}
END_TEST

START_TEST(answers_outlive_a_new_configuration_of_the_same_name)
{
    const struct config_pool *conf = configure("server = db.example:80\n");
    const struct pool_answer answers[] = { answer_of("10.0.1.1:80", 0, false) };
    resolve(conf, 0, answers, 1);
    struct server *srv = at(0);
    configure("server = 10.0.0.1:80 name=a\nserver = DB.example:80 weight=5\n");
    ck_assert_ptr_eq(at(1), srv);
    ck_assert_uint_eq(srv->weight, 5);
    configure("server = db.example:81\n"); /* another port is another name */
    ck_assert_uint_eq(server_list.count, 0);
    ck_assert_uint_eq(count_removed(), 2);
}
END_TEST

static struct config_server line_of(const char *name, const char *addr, unsigned weight)
{
    struct config_server line = { .name = (char *)name, .weight = weight };
    const char *why = NULL;
    ck_assert_int_eq(addr_parse(&line.addr, addr, &why), 0);
    return line;
}

static int add_server(const struct config_pool *conf, const char *name, const char *addr)
{
    const struct config_server line = line_of(name, addr, 7);
    struct server_list_plan *plan = NULL;
    int rc = server_list_plan_add(&server_list, conf, &line, &plan);
    if (rc == 0)
        put_in_force(plan);
    return rc;
}

static int del_server(const struct config_pool *conf, const struct server *srv)
{
    struct server_list_plan *plan = NULL;
    int rc = server_list_plan_remove(&server_list, conf, srv, &plan);
    if (rc == 0)
        put_in_force(plan);
    return rc;
}

START_TEST(servers_are_added_and_removed_at_run_time)
{
    const struct config_pool *conf =
        configure("server = 10.0.0.1:80 name=a\nserver = db.example:80 name=db\n");
    const struct pool_answer answers[] = { answer_of("10.0.1.1:80", 0, false) };
    ck_assert_int_eq(add_server(conf, "x", "10.0.0.8:80"), 0);
    ck_assert_int_eq(add_server(conf, "y", "10.0.0.9:80"), 0);
    struct server *y = at(2);
    ck_assert(y->added && !at(0)->added);
    resolve(conf, 1, answers, 1);
    expect_servers("a=10.0.0.1:80/1 db=10.0.1.1:80/1 x=10.0.0.8:80/7 y=10.0.0.9:80/7");
    ck_assert_int_eq(del_server(conf, at(2)), 0);
    expect_servers("a=10.0.0.1:80/1 db=10.0.1.1:80/1 y=10.0.0.9:80/7");
    ck_assert_ptr_eq(at(2), y);
    ck_assert_uint_eq(count_removed(), 1);
    ck_assert_int_eq(del_server(conf, at(0)), -ENOENT);
    ck_assert_int_eq(del_server(conf, at(1)), -ENOENT);
}
END_TEST

START_TEST(an_added_server_needs_an_unused_name_and_address)
{
    const struct config_pool *conf = configure("server = 10.0.0.1:80 name=a\n");
    ck_assert_int_eq(add_server(conf, "a", "10.0.0.2:80"), -EEXIST);
    ck_assert_int_eq(add_server(conf, "b", "10.0.0.1:80"), -EEXIST);
    ck_assert_int_eq(add_server(conf, "b", "10.0.0.2:80"), 0);
    ck_assert_int_eq(add_server(conf, "b", "10.0.0.3:80"), -EEXIST);
    ck_assert_int_eq(add_server(conf, "c", "10.0.0.2:80"), -EEXIST);
    expect_servers("a=10.0.0.1:80/1 b=10.0.0.2:80/7");
}
END_TEST

START_TEST(an_added_server_stays_until_the_file_has_it)
{
    const struct config_pool *conf = configure("server = 10.0.0.1:80 name=a\n");
    ck_assert_int_eq(add_server(conf, "x", "10.0.0.8:80"), 0);
    ck_assert_int_eq(add_server(conf, "y", "10.0.0.9:80"), 0);
    struct server *x = at(1);
    atomic_store(&x->weight, 9);
    configure("server = 10.0.0.2:80 name=b\n");
    expect_servers("b=10.0.0.2:80/1 x=10.0.0.8:80/9 y=10.0.0.9:80/7");
    conf = configure("server = 10.0.0.8:80 name=z\nserver = 10.0.0.3:80 name=y\n");
    expect_servers("z=10.0.0.8:80/1 y=10.0.0.3:80/1");
    ck_assert_ptr_eq(at(0), x);
    ck_assert_int_eq(del_server(conf, x), -ENOENT);
    configure("server = 10.0.0.3:80 name=y\n");
    expect_servers("y=10.0.0.3:80/1");
}
END_TEST

START_TEST(without_memory_nothing_is_added_or_removed)
{
    const struct config_pool *conf = configure("server = 10.0.0.1:80 name=a\n");
    const struct config_server line = line_of("x", "10.0.0.8:80", 7);
    for (int adding = 1; adding >= 0; adding--) {
        const struct server *srv = at(server_list.count - 1);
        struct server_list_plan *plan = NULL;
        long grants = 0;
        int rc = -ENOMEM;
        for (; rc < 0; grants++) {
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_uint_eq(server_list.count, adding ? 1 : 2);
            starve_after(grants);
            rc = adding ? server_list_plan_add(&server_list, conf, &line, &plan)
                        : server_list_plan_remove(&server_list, conf, srv, &plan);
            starve_after(-1);
        }
        ck_assert_int_gt((int)grants, 5);
        server_list_plan_free(plan); /* not applied */
        ck_assert_uint_eq(server_list.count, adding ? 1 : 2);
        if (adding)
            ck_assert_int_eq(add_server(conf, "x", "10.0.0.8:80"), 0);
    }
}
END_TEST

/* Each allocation of a plan fails once; nothing changes and nothing leaks. */
START_TEST(without_memory_nothing_changes)
{
    const struct config_pool *conf =
        configure("server = db.example:80 name=db\nserver = 10.0.0.1:80 name=a\n");
    const struct pool_answer answers[] = { answer_of("10.0.1.1:80", 0, false) };
    const struct pool_answer more[] = { answer_of("10.0.1.1:80", 0, false),
                                        answer_of("10.0.1.2:80", 0, false) };
    resolve(conf, 0, answers, 1);
    const struct config_pool *next = conf_of("server = db.example:80 name=x\n"
                                             "server = 10.0.0.2:80\nserver = 10.0.0.1:80 name=y\n");
    for (int asked = 0; asked < 2; asked++) {
        struct server_list_plan *plan = NULL;
        long grants = 0;
        int rc = -ENOMEM;
        for (; rc < 0; grants++) {
            ck_assert_int_eq(rc, -ENOMEM);
            ck_assert_ptr_null(plan);
            expect_servers("db=10.0.1.1:80/1 a=10.0.0.1:80/1");
            starve_after(grants);
            rc = asked == 0 ? server_list_plan_config(&server_list, next, &plan)
                            : server_list_plan_answers(&server_list, conf, 0, more, 2, &plan);
            starve_after(-1);
        }
        ck_assert_int_gt((int)grants, 10);
        server_list_plan_free(plan);
    }
}
END_TEST

static void add(TCase *t)
{
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, servers_are_in_the_order_of_the_file);
    tcase_add_test(t, a_server_that_stays_is_the_same_object_and_removed_ones_are_returned);
    tcase_add_test(t, run_time_settings_stay_until_the_file_changes_them);
    tcase_add_test(t, a_plan_that_is_not_applied_changes_nothing);
    tcase_add_test(t, a_new_name_for_an_address_renames_the_server);
    tcase_add_test(t, one_address_with_two_names_is_two_servers);
    tcase_add_test(t, a_backup_may_become_regular);
    tcase_add_test(t, a_name_is_replaced_by_its_addresses);
    tcase_add_test(t, servers_whose_address_stays_in_the_answer_are_kept);
    tcase_add_test(t, the_same_answers_change_nothing);
    tcase_add_test(t, answers_outlive_a_new_configuration_of_the_same_name);
    tcase_add_test(t, without_memory_nothing_changes);
    tcase_add_test(t, servers_are_added_and_removed_at_run_time);
    tcase_add_test(t, an_added_server_needs_an_unused_name_and_address);
    tcase_add_test(t, an_added_server_stays_until_the_file_has_it);
    tcase_add_test(t, without_memory_nothing_is_added_or_removed);
}

int main(void)
{
    return config_rig_main("server_list", add);
}
