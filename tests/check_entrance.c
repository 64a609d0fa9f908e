#include "session/entrance.h"
#include "suite.h"

static struct entrance_list all = LIST_HEAD_INITIALIZER(all);

static void on_wake(void *arg)
{
    (void)arg;
}

/* What a configuration with such a section does when it is loaded and in force; and at its end. */
static struct quota *begin_by(struct entrance **e, uint64_t max_connections_per_ip,
                              uint64_t ip6_prefix)
{
    const struct config_listen c = { .max_connections_per_ip = max_connections_per_ip,
                                     .per_ip6_prefix = ip6_prefix };
    struct quota *q = NULL;
    *e = entrance_get(&all, "web", on_wake, NULL);
    ck_assert_ptr_nonnull(*e);
    ck_assert_int_eq(quota_get(&q, (*e)->quota, &c), 0);
    quota_set(q, &c, 1);
    entrance_set_limits(*e, 0, q);
    return q;
}

static struct quota *begin(struct entrance **e, uint64_t max_connections_per_ip)
{
    return begin_by(e, max_connections_per_ip, 64);
}

static void end(struct entrance *e, struct quota *q)
{
    quota_put(q);
    entrance_put(e);
}

static enum limits_result enter(struct quota *q)
{
    const struct addr_peer client = { .in = { .sin_family = AF_INET } };
    return limits_enter(q->limits, &client, 1);
}

START_TEST(other_numbers_go_on_counting)
{
    struct entrance *one = NULL;
    struct entrance *other = NULL;
    struct quota *first = begin(&one, 5);
    ck_assert_int_eq(enter(first), LIMITS_OK);
    ck_assert_int_eq(enter(first), LIMITS_OK);
    struct quota *second = begin(&other, 2);
    ck_assert_ptr_eq(one, other);
    ck_assert_ptr_eq(first, second);
    ck_assert_int_eq(enter(second), LIMITS_CONNECTIONS);
    end(one, first);
    end(other, second);
    ck_assert(LIST_EMPTY(&all));
}
END_TEST

START_TEST(who_tells_clients_apart_otherwise_begins_anew)
{
    struct entrance *one = NULL;
    struct entrance *other = NULL;
    struct quota *first = begin(&one, 5);
    struct quota *second = begin_by(&other, 5, 48);
    ck_assert_ptr_ne(first, second);
    end(one, first);
    end(other, second);
}
END_TEST

/* A session of the first configuration lasts while the second comes, goes, and comes back. */
START_TEST(limits_are_there_as_long_as_the_entrance)
{
    struct entrance *one = NULL;
    struct entrance *other = NULL;
    struct quota *first = begin(&one, 5);
    struct quota *second = begin_by(&other, 5, 48);
    end(other, second);
    struct quota *third = begin_by(&other, 5, 48);
    ck_assert_ptr_eq(third, second);
    end(one, first);
    end(other, third);
    ck_assert(LIST_EMPTY(&all));
}
END_TEST

START_TEST(without_limits_there_is_nothing)
{
    struct entrance *one = NULL;
    struct entrance *other = NULL;
    struct quota *first = begin(&one, 5);
    struct quota *none = begin(&other, 0);
    ck_assert_ptr_null(none);
    ck_assert_ptr_null(one->quota);
    end(one, first);
    end(other, none);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("entrance");
    TCase *t = tcase_create("limits over configurations");
    tcase_add_test(t, other_numbers_go_on_counting);
    tcase_add_test(t, who_tells_clients_apart_otherwise_begins_anew);
    tcase_add_test(t, limits_are_there_as_long_as_the_entrance);
    tcase_add_test(t, without_limits_there_is_nothing);
    suite_add_tcase(s, t);
    return suite_main(s);
}
