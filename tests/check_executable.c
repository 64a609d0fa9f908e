#include "handover/executable.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

static char directory[] = "/tmp/zproxy-check.XXXXXX";
static char before[PATH_MAX];
static char self[PATH_MAX];
static char *path_before;

static void begin(void)
{
    const char *path = getenv("PATH");
    path_before = strdup(path == NULL ? "" : path);
    snprintf(directory, sizeof directory, "/tmp/zproxy-check.XXXXXX");
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    ck_assert_int_gt(n, 0);
    self[n] = '\0';
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
    ck_assert_int_eq(mkdir("one", 0755), 0);
    ck_assert_int_eq(mkdir("two", 0755), 0);
}

static void end(void)
{
    static const char *const names[] = { "one/prog", "two/prog", "one", "two", "link" };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        (void)remove(names[i]);
    ck_assert_int_eq(chdir(before), 0);
    ck_assert_int_eq(rmdir(directory), 0);
    setenv("PATH", path_before, 1);
    free(path_before);
}

static void check_found(const struct executable *e, const char *expected)
{
    char whole[2 * PATH_MAX];
    char *path = NULL;
    snprintf(whole, sizeof whole, "%s%s%s", expected[0] == '/' ? "" : directory,
             expected[0] == '/' ? "" : "/", expected);
    ck_assert_int_eq(executable_find(e, &path), 0);
    ck_assert_str_eq(path, whole);
    free(path);
}

START_TEST(a_link_is_followed_again)
{
    struct executable e;
    ck_assert_int_eq(symlink(self, "link"), 0);
    ck_assert_int_eq(executable_init(&e, "./link"), 0);
    ck_assert_int_eq(unlink("link"), 0);
    ck_assert_int_eq(symlink("/bin/true", "link"), 0);
    ck_assert_int_eq(chdir("/"), 0); /* "./link" is relative to the directory at the start */
    check_found(&e, "./link");
    executable_fini(&e);
    ck_assert_int_eq(chdir(directory), 0);
}
END_TEST

START_TEST(a_bare_name_is_searched_in_path)
{
    struct executable e;
    char path[2 * PATH_MAX];
    ck_assert_int_eq(symlink(self, "two/prog"), 0);
    snprintf(path, sizeof path, "/nowhere:one::%s/two", directory);
    setenv("PATH", path, 1);
    ck_assert_int_eq(executable_init(&e, "prog"), 0);
    check_found(&e, "two/prog");
    ck_assert_int_eq(symlink("/bin/true", "one/prog"), 0);
    ck_assert_int_eq(chdir("/"), 0);
    check_found(&e, "one/prog"); /* the first entry, as in a shell */
    ck_assert_int_eq(chdir(directory), 0);
    ck_assert_int_eq(unlink("one/prog"), 0);
    ck_assert_int_eq(unlink("two/prog"), 0);
    char *found = NULL;
    ck_assert_int_eq(executable_find(&e, &found), -ENOENT);
    executable_fini(&e);
}
END_TEST

START_TEST(a_name_of_another_program_is_not_used)
{
    static const char *const names[] = { "", "-prog", "/bin/true", "no/such", "./not-there", "sh" };
    struct executable e;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ck_assert_int_eq(executable_init(&e, names[i]), 0);
        check_found(&e, self);
        executable_fini(&e);
    }
    ck_assert_int_eq(executable_init(&e, NULL), 0);
    check_found(&e, self);
    executable_fini(&e);
}
END_TEST

START_TEST(an_absolute_path_is_not_resolved)
{
    struct executable e;
    char path[2 * PATH_MAX];
    snprintf(path, sizeof path, "%s/link", directory);
    ck_assert_int_eq(symlink(self, "link"), 0);
    ck_assert_int_eq(executable_init(&e, path), 0);
    check_found(&e, path);
    executable_fini(&e);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("executable");
    TCase *t = tcase_create("executable");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_link_is_followed_again);
    tcase_add_test(t, a_bare_name_is_searched_in_path);
    tcase_add_test(t, a_name_of_another_program_is_not_used);
    tcase_add_test(t, an_absolute_path_is_not_resolved);
    suite_add_tcase(s, t);
    return suite_main(s);
}
