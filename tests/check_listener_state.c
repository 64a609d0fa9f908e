#include "session/listener_state.h"
#include "suite.h"

static struct listener_state_list all = LIST_HEAD_INITIALIZER(all);

static void on_wake(void *arg)
{
    (void)arg;
}

/* What a configuration with such a section does when it is loaded and in force; and at its end. */
static struct client_quota *begin_by(struct listener_state **e, uint64_t max_connections_per_ip,
                                     uint64_t ip6_prefix)
{
    const struct config_listen c = { .max_connections_per_ip = max_connections_per_ip,
                                     .per_ip6_prefix = ip6_prefix };
    struct client_quota *q = NULL;
    *e = listener_state_get(&all, "web", on_wake, NULL);
    ck_assert_ptr_nonnull(*e);
    ck_assert_int_eq(client_quota_get(&q, (*e)->client_quota, &c), 0);
    client_quota_set(q, &c, 1);
    listener_state_set_limits(*e, 0, q);
    return q;
}

static struct client_quota *begin(struct listener_state **e, uint64_t max_connections_per_ip)
{
    return begin_by(e, max_connections_per_ip, 64);
}

static void end(struct listener_state *e, struct client_quota *q)
{
    client_quota_unref(q);
    listener_state_put(e);
}

static enum client_limits_result acquire(struct client_quota *q)
{
    const struct addr_peer client = { .in = { .sin_family = AF_INET } };
    return client_limits_acquire(q->client_limits, &client, 1);
}

START_TEST(other_numbers_go_on_counting)
{
    struct listener_state *one = NULL;
    struct listener_state *other = NULL;
    struct client_quota *first = begin(&one, 5);
    ck_assert_int_eq(acquire(first), CLIENT_LIMITS_OK);
    ck_assert_int_eq(acquire(first), CLIENT_LIMITS_OK);
    struct client_quota *second = begin(&other, 2);
    ck_assert_ptr_eq(one, other);
    ck_assert_ptr_eq(first, second);
    ck_assert_int_eq(acquire(second), CLIENT_LIMITS_CONNECTIONS);
    end(one, first);
    end(other, second);
    ck_assert(LIST_EMPTY(&all));
}
END_TEST

START_TEST(another_ip6_prefix_counts_anew)
{
    struct listener_state *one = NULL;
    struct listener_state *other = NULL;
    struct client_quota *first = begin(&one, 5);
    struct client_quota *second = begin_by(&other, 5, 48);
    ck_assert_ptr_ne(first, second);
    end(one, first);
    end(other, second);
}
END_TEST

/* A session of the first configuration lasts while the second comes, goes, and comes back. */
START_TEST(limits_last_as_long_as_the_listener_state)
{
    struct listener_state *one = NULL;
    struct listener_state *other = NULL;
    struct client_quota *first = begin(&one, 5);
    struct client_quota *second = begin_by(&other, 5, 48);
    end(other, second);
    struct client_quota *third = begin_by(&other, 5, 48);
    ck_assert_ptr_eq(third, second);
    end(one, first);
    end(other, third);
    ck_assert(LIST_EMPTY(&all));
}
END_TEST

START_TEST(without_limits_there_is_nothing)
{
    struct listener_state *one = NULL;
    struct listener_state *other = NULL;
    struct client_quota *first = begin(&one, 5);
    struct client_quota *none = begin(&other, 0);
    ck_assert_ptr_null(none);
    ck_assert_ptr_null(one->client_quota);
    end(one, first);
    end(other, none);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("listener_state");
    TCase *t = tcase_create("limits over configurations");
    tcase_add_test(t, other_numbers_go_on_counting);
    tcase_add_test(t, another_ip6_prefix_counts_anew);
    tcase_add_test(t, limits_last_as_long_as_the_listener_state);
    tcase_add_test(t, without_limits_there_is_nothing);
    suite_add_tcase(s, t);
    return suite_main(s);
}
