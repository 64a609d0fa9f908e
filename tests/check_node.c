#include "base/node.h"

#include <string.h>
#include <unistd.h>

#include "suite.h"

START_TEST(a_name_that_was_set_stays_valid_and_is_stored_once)
{
    const struct node *one = node_prepare("one");
    node_set(one);
    const struct node *two = node_prepare("two");
    ck_assert_str_eq(node_name(), "one");
    node_set(two);
    ck_assert_str_eq(node_name(), "two");
    ck_assert_str_eq(one->name, "one");
    ck_assert_ptr_eq(node_prepare("one"), one);
    ck_assert_ptr_eq(node_prepare("two"), two);
    ck_assert_ptr_eq(node_prepare(NULL), node_prepare(NULL));
}
END_TEST

START_TEST(the_host_s_name_is_known_as_such)
{
    char host[NODE_NAME_MAX + 2] = "";
    const struct node *own = node_prepare(NULL);
    ck_assert(own->is_host);
    ck_assert_uint_gt(strlen(own->name), 0);
    ck_assert(!node_prepare("surely-not-this-host")->is_host);
    if (gethostname(host, sizeof host - 1) == 0 && strcmp(host, own->name) == 0)
        ck_assert_ptr_eq(node_prepare(host), own);
}
END_TEST

START_TEST(without_a_name_it_is_unknown)
{
    ck_assert_ptr_null(node_get());
    ck_assert_str_eq(node_name(), "unknown");
}
END_TEST

START_TEST(a_name_of_the_greatest_length_is_kept_whole)
{
    char name[NODE_NAME_MAX + 1];
    memset(name, 'n', NODE_NAME_MAX);
    name[NODE_NAME_MAX] = '\0';
    ck_assert_str_eq(node_prepare(name)->name, name);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("node");
    TCase *c = tcase_create("names");
    tcase_add_test(c, without_a_name_it_is_unknown);
    tcase_add_test(c, a_name_that_was_set_stays_valid_and_is_stored_once);
    tcase_add_test(c, the_host_s_name_is_known_as_such);
    tcase_add_test(c, a_name_of_the_greatest_length_is_kept_whole);
    suite_add_tcase(s, c);
    return suite_main(s);
}
