#include "session/session_iter.h"
#include "suite.h"

#define COUNT 5

static struct sessions all;
static struct session session[COUNT]; /* session[0] is the first of the list */

static void begin(void)
{
    LIST_INIT(&all.all);
    LIST_INIT(&all.iters);
    for (int i = COUNT - 1; i >= 0; i--) {
        session[i].sessions = &all;
        LIST_INSERT_HEAD(&all.all, &session[i], in_all);
    }
}

static void leave(struct session *s)
{
    session_iter_skip(s);
    LIST_REMOVE(s, in_all);
}

START_TEST(each_session_is_visited_once)
{
    struct session_iter t;
    session_iter_init(&t, &all);
    for (int i = 0; i < COUNT; i++)
        ck_assert_ptr_eq(session_iter_next(&t), &session[i]);
    ck_assert_ptr_null(session_iter_next(&t));
    session_iter_fini(&t);
    ck_assert(LIST_EMPTY(&all.iters));
}
END_TEST

START_TEST(the_visited_one_and_others_may_leave)
{
    struct session_iter t;
    session_iter_init(&t, &all);
    leave(session_iter_next(&t));
    ck_assert_ptr_eq(session_iter_next(&t), &session[1]);
    leave(&session[2]);
    leave(&session[3]);
    leave(&session[1]);
    ck_assert_ptr_eq(session_iter_next(&t), &session[4]);
    ck_assert_ptr_null(session_iter_next(&t));
    session_iter_fini(&t);
}
END_TEST

START_TEST(the_last_one_may_leave_before_it_is_visited)
{
    struct session_iter t;
    session_iter_init(&t, &all);
    for (int i = 0; i < COUNT - 1; i++)
        session_iter_next(&t);
    leave(&session[COUNT - 1]);
    ck_assert_ptr_null(session_iter_next(&t));
    session_iter_fini(&t);
}
END_TEST

START_TEST(iterators_do_not_disturb_each_other)
{
    struct session_iter slow;
    struct session_iter fast;
    session_iter_init(&slow, &all);
    session_iter_init(&fast, &all);
    for (int i = 0; i < 3; i++)
        session_iter_next(&fast);
    leave(&session[0]);
    leave(&session[3]);
    ck_assert_ptr_eq(session_iter_next(&slow), &session[1]);
    ck_assert_ptr_eq(session_iter_next(&fast), &session[4]);
    session_iter_fini(&slow);
    ck_assert_ptr_null(session_iter_next(&fast));
    session_iter_fini(&fast);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session_iter");
    TCase *c = tcase_create("session_iter");
    tcase_add_checked_fixture(c, begin, NULL);
    tcase_add_test(c, each_session_is_visited_once);
    tcase_add_test(c, the_visited_one_and_others_may_leave);
    tcase_add_test(c, the_last_one_may_leave_before_it_is_visited);
    tcase_add_test(c, iterators_do_not_disturb_each_other);
    suite_add_tcase(s, c);
    return suite_main(s);
}
