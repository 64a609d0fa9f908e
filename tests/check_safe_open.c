#include "base/safe_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "suite.h"

#define BOB   1234 /* a user other than root; needs no account */
#define CAROL 1235

static char top[32];  /* a directory of root */
static char bobs[48]; /* a directory in it that BOB owns */
static char victim[48];

static const char *in(const char *directory, const char *name)
{
    static char paths[8][PATH_MAX];
    static int next;
    char *path = paths[next++ % 8];
    snprintf(path, PATH_MAX, "%s/%s", directory, name);
    return path;
}

static void write_file(const char *path, const char *text, uid_t owner)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
    ck_assert_int_eq(chown(path, owner, owner), 0);
}

static const char *text_of(const char *path)
{
    static char text[128];
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return "(none)";
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void link_by(uid_t owner, const char *target, const char *path)
{
    ck_assert_int_eq(symlink(target, path), 0);
    ck_assert_int_eq(lchown(path, owner, owner), 0);
}

static void directory_of(uid_t owner, mode_t mode, const char *path)
{
    ck_assert_int_eq(mkdir(path, 0700), 0);
    ck_assert_int_eq(chown(path, owner, owner), 0);
    ck_assert_int_eq(chmod(path, mode), 0);
}

static void make_tree(void)
{
    snprintf(top, sizeof top, "/tmp/check_safe_open.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(chmod(top, 0755), 0);
    snprintf(bobs, sizeof bobs, "%s/bobs", top);
    snprintf(victim, sizeof victim, "%s/victim", top);
    write_file(victim, "precious", geteuid());
    directory_of(geteuid() == 0 ? BOB : geteuid(), 0755, bobs);
}

static void remove_tree(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", top);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

static int append(const char *path)
{
    int fd = safe_open_append(path, 0640, (uid_t)-1, (gid_t)-1);
    if (fd < 0)
        return fd;
    ck_assert_int_eq(write(fd, "+", 1), 1);
    close(fd);
    return 0;
}

static int update(const char *path)
{
    int fd = safe_open_update(path);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static int reads(const char *path, const char *expected)
{
    char text[64] = "";
    int fd = safe_open_read(path);
    if (fd < 0)
        return fd;
    ck_assert_int_ge(read(fd, text, sizeof text - 1), 0);
    ck_assert_str_eq(text, expected);
    close(fd);
    return 0;
}

static int replaced(const char *path)
{
    int fd = safe_replace(path, 0644, "new", 3);
    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static void expect_untouched(void)
{
    struct stat st;
    ck_assert_str_eq(text_of(victim), "precious");
    ck_assert_int_eq(stat(victim, &st), 0);
    ck_assert_uint_eq(st.st_uid, geteuid());
}

/* ---- directories that are not shared ---- */

START_TEST(a_file_is_created_and_appended_to)
{
    struct stat st;
    mode_t mask = umask(0);
    ck_assert_int_eq(append(in(top, "log")), 0);
    umask(mask);
    ck_assert_int_eq(append(in(top, "./bobs/..///log")), 0);
    ck_assert_str_eq(text_of(in(top, "log")), "++");
    ck_assert_int_eq(stat(in(top, "log"), &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0640);
}
END_TEST

START_TEST(a_relative_path_begins_in_the_working_directory)
{
    ck_assert_int_eq(chdir(top), 0);
    ck_assert_int_eq(append("log"), 0);
    ck_assert_int_eq(append("bobs/../log"), 0);
    ck_assert_str_eq(text_of(in(top, "log")), "++");
}
END_TEST

START_TEST(a_path_that_names_no_file_is_refused)
{
    char longer[PATH_MAX + 10];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    ck_assert_int_eq(append(""), -ENOENT);
    ck_assert_int_eq(append("/"), -EISDIR);
    ck_assert_int_eq(append(in(top, "")), -EISDIR);
    ck_assert_int_eq(append(in(top, "..")), -EISDIR);
    ck_assert_int_eq(append(in(top, "nowhere/log")), -ENOENT);
    ck_assert_int_eq(append(in(victim, "log")), -ENOTDIR);
    ck_assert_int_eq(append(in(victim, "")), -ENOTDIR);
    ck_assert_int_eq(append(longer), -ENAMETOOLONG);
    longer[0] = '/';
    longer[300] = '\0';
    ck_assert_int_eq(append(longer), -ENAMETOOLONG);
    expect_untouched();
}
END_TEST

START_TEST(links_of_the_process_owner_are_followed)
{
    directory_of(geteuid(), 0755, in(top, "real"));
    link_by(geteuid(), "real", in(top, "directory"));
    link_by(geteuid(), in(top, "real/b"), in(top, "real/a"));
    ck_assert_int_eq(append(in(top, "directory/a")), 0);
    ck_assert_str_eq(text_of(in(top, "real/b")), "+");
    ck_assert_int_eq(append(in(top, "directory/a")), 0);
    ck_assert_int_eq(update(in(top, "directory/a")), 0);
    ck_assert_str_eq(text_of(in(top, "real/b")), "++");
}
END_TEST

/* The link exists and its target does not: this has been an endless loop. */
START_TEST(a_dangling_link_fails)
{
    link_by(geteuid(), in(top, "nowhere/log"), in(top, "a"));
    ck_assert_int_eq(append(in(top, "a")), -ENOENT);
    link_by(geteuid(), "made", in(top, "b"));
    ck_assert_int_eq(append(in(top, "b")), 0);
    ck_assert_str_eq(text_of(in(top, "made")), "+");
}
END_TEST

START_TEST(a_circle_of_links_fails)
{
    link_by(geteuid(), "b", in(top, "a"));
    link_by(geteuid(), "a", in(top, "b"));
    ck_assert_int_eq(append(in(top, "a")), -ELOOP);
    ck_assert_int_eq(append(in(top, "a/log")), -ELOOP);
    ck_assert_int_eq(reads(in(top, "a"), ""), -ELOOP);
}
END_TEST

START_TEST(devices_and_links_of_procfs_are_opened)
{
    char path[64];
    int fd = open(in(top, "there"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    ck_assert_int_eq(append("/dev/null"), 0);
    ck_assert_int_eq(append(path), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", fd);
    ck_assert_int_eq(append(path), 0);
    ck_assert_int_eq(append("/proc/self/fd/4000"), -ENOENT);
    ck_assert_str_eq(text_of(in(top, "there")), "++");
    close(fd);
}
END_TEST

static void expect_not_read(char *directory)
{
    ck_assert_int_eq(reads(directory, ""), -EMEDIUMTYPE);
    ck_assert_int_eq(reads(in(directory, "fifo"), ""), -EMEDIUMTYPE);
    ck_assert_str_eq(safe_open_strerror(-EMEDIUMTYPE), "not a regular file");
}

START_TEST(a_fifo_is_opened_and_does_not_block)
{
    ck_assert_int_eq(mkfifo(in(top, "fifo"), 0600), 0);
    ck_assert_int_eq(append(in(top, "fifo")), -ENXIO); /* no reader */
    int reader = open(in(top, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_eq(append(in(top, "fifo")), 0);
    close(reader);
    expect_not_read(top);
}
END_TEST

START_TEST(a_link_is_replaced_and_a_device_is_not)
{
    link_by(geteuid(), victim, in(top, "pid"));
    ck_assert_int_eq(replaced(in(top, "pid")), 0);
    ck_assert_str_eq(text_of(in(top, "pid")), "new");
    expect_untouched();
    ck_assert_int_eq(replaced("/dev/null"), -EEXIST);
}
END_TEST

START_TEST(a_file_left_by_a_process_with_the_same_pid_is_replaced)
{
    char name[64];
    snprintf(name, sizeof name, "%s/pid.%ld", top, (long)getpid());
    link_by(geteuid(), victim, name);
    ck_assert_int_eq(replaced(in(top, "pid")), 0);
    ck_assert_str_eq(text_of(in(top, "pid")), "new");
    ck_assert_int_eq(access(name, F_OK), -1);
    expect_untouched();
}
END_TEST

START_TEST(unlink_removes_only_the_given_file)
{
    struct file_id first;
    struct file_id second;
    ck_assert_int_eq(safe_file_id(victim, &first), 0);
    ck_assert_int_eq(rename(victim, in(top, "elsewhere")), 0);
    ck_assert_int_eq(safe_unlink(victim, &first), -ENOENT);
    write_file(victim, "of another program", geteuid());
    ck_assert_int_eq(safe_unlink(victim, &first), -ESTALE);
    ck_assert_str_eq(text_of(victim), "of another program");
    ck_assert_int_eq(safe_unlink(victim, &(struct file_id){ .ino = 0 }), -ESTALE);
    ck_assert_int_eq(safe_file_id(victim, &second), 0);
    ck_assert(!file_id_equal(&first, &second));
    ck_assert_int_eq(safe_unlink(victim, &second), 0);
    ck_assert_int_eq(safe_file_id(victim, &second), -ENOENT);
    ck_assert_uint_eq(second.ino, 0);
}
END_TEST

/* ---- shared directories ---- */

static bool is_root(void)
{
    return geteuid() == 0; /* only root can act as two users */
}

START_TEST(in_a_shared_directory_no_link_is_followed)
{
    const uid_t owners[] = { BOB, 0 };
    if (!is_root())
        return;
    link_by(owners[_i], victim, in(bobs, "log"));
    link_by(owners[_i], top, in(bobs, "directory"));
    link_by(owners[_i], in(top, "made"), in(bobs, "to_nowhere"));
    ck_assert_int_eq(append(in(bobs, "log")), -ELOOP);
    ck_assert_int_eq(update(in(bobs, "log")), -ELOOP);
    ck_assert_int_eq(append(in(bobs, "directory/victim")), -ELOOP);
    ck_assert_int_eq(update(in(bobs, "directory/victim")), -ELOOP);
    ck_assert_int_eq(replaced(in(bobs, "directory/victim")), -ELOOP);
    ck_assert_int_eq(append(in(bobs, "to_nowhere")), -ELOOP);
    ck_assert_int_eq(access(in(top, "made"), F_OK), -1);
    ck_assert_int_eq(reads(in(bobs, "log"), ""), -ELOOP);
    ck_assert_int_eq(reads(in(bobs, "directory/victim"), ""), -ELOOP);
    ck_assert_int_eq(replaced(in(bobs, "log")), 0); /* replaces the link */
    expect_untouched();
}
END_TEST

START_TEST(a_directory_writable_by_a_group_or_by_all_is_shared)
{
    const mode_t modes[] = { 0775, 0757, 0777 };
    if (!is_root())
        return;
    ck_assert_int_eq(chown(bobs, 0, BOB), 0);
    ck_assert_int_eq(chmod(bobs, modes[_i]), 0);
    link_by(0, victim, in(bobs, "log"));
    ck_assert_int_eq(append(in(bobs, "log")), -ELOOP);
    ck_assert_int_eq(chown(bobs, 0, 0), 0);
    ck_assert_int_eq(append(in(bobs, "log")), modes[_i] == 0775 ? 0 : -ELOOP);
}
END_TEST

START_TEST(in_a_sticky_directory_links_of_root_are_followed)
{
    if (!is_root())
        return;
    directory_of(0, 01777, in(top, "tmp"));
    link_by(0, "made", in(top, "tmp/of_root"));
    link_by(BOB, victim, in(top, "tmp/of_bob"));
    ck_assert_int_eq(append(in(top, "tmp/of_root")), 0);
    ck_assert_int_eq(append(in(top, "tmp/of_bob")), -ELOOP);
    expect_untouched();
}
END_TEST

START_TEST(in_a_shared_directory_only_a_file_with_one_name_is_used)
{
    if (!is_root())
        return;
    ck_assert_int_eq(link(victim, in(bobs, "log")), 0);
    ck_assert_int_eq(append(in(bobs, "log")), -EMLINK);
    ck_assert_int_eq(update(in(bobs, "log")), -EMLINK);
    ck_assert_int_eq(reads(in(bobs, "log"), ""), -EMLINK);
    ck_assert_int_eq(mkfifo(in(bobs, "fifo"), 0666), 0);
    int reader = open(in(bobs, "fifo"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ck_assert_int_eq(append(in(bobs, "fifo")), -EINVAL);
    close(reader);
    expect_not_read(bobs);
    ck_assert_int_eq(replaced(in(bobs, "log")), 0);
    expect_untouched();
    write_file(in(bobs, "own"), "", BOB); /* as after a rotation */
    ck_assert_int_eq(append(in(bobs, "own")), 0);
    ck_assert_int_eq(append(in(bobs, "new")), 0);
}
END_TEST

START_TEST(in_tmp_a_file_of_another_user_is_not_used)
{
    if (!is_root())
        return;
    directory_of(0, 01777, in(top, "tmp"));
    write_file(in(top, "tmp/log"), "", BOB);
    ck_assert_int_eq(append(in(top, "tmp/log")), -EACCES);
    int fd = safe_open_append(in(top, "tmp/log"), 0640, BOB, (gid_t)-1); /* BOB is the owner */
    ck_assert_int_ge(fd, 0);
    close(fd);
}
END_TEST

/* As deployment tools do: "current" is a link to the version in use. */
START_TEST(a_link_of_another_user_leads_only_to_files_of_that_user)
{
    if (!is_root())
        return;
    directory_of(BOB, 0755, in(bobs, "42"));
    write_file(in(bobs, "42/page"), "page", BOB);
    write_file(in(bobs, "42/of_carol"), "carol", CAROL);
    link_by(BOB, "42", in(bobs, "current"));
    link_by(BOB, "current/page", in(bobs, "page"));
    link_by(CAROL, "42/page", in(bobs, "by_carol"));
    link_by(0, "42/page", in(bobs, "by_root"));
    ck_assert_int_eq(reads(in(bobs, "current/page"), "page"), 0);
    ck_assert_int_eq(reads(in(bobs, "page"), "page"), 0);
    ck_assert_int_eq(reads(in(bobs, "by_root"), "page"), 0);
    ck_assert_int_eq(reads(in(bobs, "by_carol"), ""), -ELOOP);
    ck_assert_int_eq(reads(in(bobs, "current/of_carol"), ""), -ELOOP);
    ck_assert_int_eq(append(in(bobs, "current/page")), -ELOOP);
}
END_TEST

START_TEST(only_a_new_file_is_given_to_the_owner)
{
    struct stat st;
    if (!is_root())
        return;
    int fd = safe_open_append(in(bobs, "log"), 0640, BOB, CAROL);
    ck_assert_int_eq(fstat(fd, &st), 0);
    ck_assert_uint_eq(st.st_uid, BOB);
    ck_assert_uint_eq(st.st_gid, CAROL);
    close(fd);
    close(safe_open_append(victim, 0640, BOB, CAROL));
    expect_untouched();
}
END_TEST

START_TEST(a_directory_that_others_may_rename_is_reported)
{
    struct safe_path p;
    if (!is_root())
        return;
    directory_of(BOB, 0755, in(bobs, "inner"));
    ck_assert_int_eq(safe_path_open(&p, in(bobs, "x"), SAFE_LINKS_NONE), 0);
    ck_assert(p.shared && !p.movable);
    safe_path_close(&p);
    ck_assert_int_eq(safe_path_open(&p, in(bobs, "inner/x"), SAFE_LINKS_NONE), 0);
    ck_assert(p.shared && p.movable);
    safe_path_close(&p);
    ck_assert_int_eq(safe_path_open(&p, victim, SAFE_LINKS_NONE), 0);
    ck_assert(!p.shared && !p.movable);
    safe_path_close(&p);
    safe_path_close(&p);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("safe_open");
    TCase *tc = tcase_create("own");
    tcase_add_checked_fixture(tc, make_tree, remove_tree);
    tcase_add_test(tc, a_file_is_created_and_appended_to);
    tcase_add_test(tc, a_relative_path_begins_in_the_working_directory);
    tcase_add_test(tc, a_path_that_names_no_file_is_refused);
    tcase_add_test(tc, links_of_the_process_owner_are_followed);
    tcase_add_test(tc, a_dangling_link_fails);
    tcase_add_test(tc, a_circle_of_links_fails);
    tcase_add_test(tc, devices_and_links_of_procfs_are_opened);
    tcase_add_test(tc, a_fifo_is_opened_and_does_not_block);
    tcase_add_test(tc, a_link_is_replaced_and_a_device_is_not);
    tcase_add_test(tc, a_file_left_by_a_process_with_the_same_pid_is_replaced);
    tcase_add_test(tc, unlink_removes_only_the_given_file);
    suite_add_tcase(s, tc);
    tc = tcase_create("of others");
    tcase_add_checked_fixture(tc, make_tree, remove_tree);
    tcase_add_loop_test(tc, in_a_shared_directory_no_link_is_followed, 0, 2);
    tcase_add_loop_test(tc, a_directory_writable_by_a_group_or_by_all_is_shared, 0, 3);
    tcase_add_test(tc, in_a_sticky_directory_links_of_root_are_followed);
    tcase_add_test(tc, in_a_shared_directory_only_a_file_with_one_name_is_used);
    tcase_add_test(tc, in_tmp_a_file_of_another_user_is_not_used);
    tcase_add_test(tc, a_link_of_another_user_leads_only_to_files_of_that_user);
    tcase_add_test(tc, only_a_new_file_is_given_to_the_owner);
    tcase_add_test(tc, a_directory_that_others_may_rename_is_reported);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
