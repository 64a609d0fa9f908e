#include "session/tour.h"
#include "suite.h"

#define COUNT 5

static struct sessions all;
static struct session session[COUNT]; /* session[0] is the first of the list */

static void begin(void)
{
    LIST_INIT(&all.all);
    LIST_INIT(&all.tours);
    for (int i = COUNT - 1; i >= 0; i--) {
        session[i].home = &all;
        LIST_INSERT_HEAD(&all.all, &session[i], in_all);
    }
}

static void leave(struct session *s)
{
    tour_leave(s);
    LIST_REMOVE(s, in_all);
}

START_TEST(each_session_is_visited_once)
{
    struct tour t;
    tour_begin(&t, &all);
    for (int i = 0; i < COUNT; i++)
        ck_assert_ptr_eq(tour_next(&t), &session[i]);
    ck_assert_ptr_null(tour_next(&t));
    tour_end(&t);
    ck_assert(LIST_EMPTY(&all.tours));
}
END_TEST

START_TEST(the_visited_one_and_others_may_leave)
{
    struct tour t;
    tour_begin(&t, &all);
    leave(tour_next(&t));
    ck_assert_ptr_eq(tour_next(&t), &session[1]);
    leave(&session[2]);
    leave(&session[3]);
    leave(&session[1]);
    ck_assert_ptr_eq(tour_next(&t), &session[4]);
    ck_assert_ptr_null(tour_next(&t));
    tour_end(&t);
}
END_TEST

START_TEST(the_last_one_may_leave_before_it_is_visited)
{
    struct tour t;
    tour_begin(&t, &all);
    for (int i = 0; i < COUNT - 1; i++)
        tour_next(&t);
    leave(&session[COUNT - 1]);
    ck_assert_ptr_null(tour_next(&t));
    tour_end(&t);
}
END_TEST

START_TEST(tours_do_not_disturb_each_other)
{
    struct tour slow;
    struct tour fast;
    tour_begin(&slow, &all);
    tour_begin(&fast, &all);
    for (int i = 0; i < 3; i++)
        tour_next(&fast);
    leave(&session[0]);
    leave(&session[3]);
    ck_assert_ptr_eq(tour_next(&slow), &session[1]);
    ck_assert_ptr_eq(tour_next(&fast), &session[4]);
    tour_end(&slow);
    ck_assert_ptr_null(tour_next(&fast));
    tour_end(&fast);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("tour");
    TCase *c = tcase_create("tour");
    tcase_add_checked_fixture(c, begin, NULL);
    tcase_add_test(c, each_session_is_visited_once);
    tcase_add_test(c, the_visited_one_and_others_may_leave);
    tcase_add_test(c, the_last_one_may_leave_before_it_is_visited);
    tcase_add_test(c, tours_do_not_disturb_each_other);
    suite_add_tcase(s, c);
    return suite_main(s);
}
