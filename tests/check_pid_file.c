#include "control/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

static char directory[32];
static char path[64];

/* The expected content: the number of this process. */
static const char *number(void)
{
    static char text[32];
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return text;
}

static void make_directory(void)
{
    snprintf(directory, sizeof directory, "/tmp/check_pid_file.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chmod(directory, 0755), 0);
    snprintf(path, sizeof path, "%s/pid", directory);
}

static void remove_directory(void)
{
    (void)unlink(path);
    ck_assert_int_eq(rmdir(directory), 0); /* fails if a file is left there */
}

static void write_text(const char *text)
{
    FILE *f = fopen(path, "we");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    fclose(f);
}

static const char *text_there(void)
{
    static char text[128];
    FILE *f = fopen(path, "re");
    ck_assert_ptr_nonnull(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

/* As in another user's directory: no file can be made or replaced in it. */
static void become_nobody(void)
{
    ck_assert_int_eq(setgid(65534), 0);
    ck_assert_int_eq(setuid(65534), 0);
}

static struct pid_file file_at(const char *where)
{
    struct pid_file f;
    ck_assert_int_eq(pid_file_init(&f, where), 0);
    return f;
}

START_TEST(has_one_number_and_is_gone_at_the_end)
{
    struct pid_file f = file_at(path);
    ck_assert_int_eq(pid_file_write(&f), 0);
    ck_assert_str_eq(text_there(), number());
    pid_file_remove(&f);
    ck_assert_int_eq(access(path, F_OK), -1);
    pid_file_fini(&f);
}
END_TEST

START_TEST(without_a_path_nothing_is_done)
{
    struct pid_file f = file_at(NULL);
    ck_assert_int_eq(pid_file_write(&f), 0);
    pid_file_remove(&f);
    pid_file_fini(&f);
}
END_TEST

START_TEST(what_was_open_before_keeps_what_it_had)
{
    char old[32] = "";
    struct pid_file f = file_at(path);
    write_text("4194304999\n");
    int reader = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(pid_file_write(&f), 0);
    ck_assert_int_eq(read(reader, old, sizeof old - 1), 11);
    ck_assert_str_eq(old, "4194304999\n");
    ck_assert_str_eq(text_there(), number());
    close(reader);
    pid_file_fini(&f);
}
END_TEST

START_TEST(one_that_others_have_put_there_stays)
{
    struct pid_file f = file_at(path);
    ck_assert_int_eq(pid_file_write(&f), 0);
    ck_assert_int_eq(unlink(path), 0);
    write_text("1\n");
    pid_file_remove(&f);
    ck_assert_str_eq(text_there(), "1\n");
    pid_file_fini(&f);
}
END_TEST

START_TEST(what_is_no_file_is_written_to_and_stays)
{
    struct pid_file f = file_at("/dev/null");
    ck_assert_int_eq(pid_file_write(&f), 0);
    pid_file_remove(&f);
    ck_assert_int_eq(access("/dev/null", F_OK), 0);
    pid_file_fini(&f);
}
END_TEST

START_TEST(says_what_is_in_the_way)
{
    struct pid_file f = file_at("/nowhere/pid");
    ck_assert_int_eq(pid_file_write(&f), -ENOENT);
    pid_file_fini(&f);
    f = file_at("/tmp");
    ck_assert_int_lt(pid_file_write(&f), 0);
    pid_file_fini(&f);
}
END_TEST

/* In a child: it becomes the user nobody, which only root may do. */
START_TEST(the_descriptor_is_enough)
{
    static const char *const before[] = { "4194304999\n", "1\n", "" };
    if (geteuid() != 0)
        return;
    write_text(before[_i]);
    struct pid_file f = file_at(path);
    pid_file_adopt(&f, open(path, O_RDWR | O_CLOEXEC));
    become_nobody();
    ck_assert_int_eq(pid_file_write(&f), 0);
    int fd = f.fd;
    char text[64] = "";
    ck_assert_int_eq(pread(fd, text, sizeof text - 1, 0), (ssize_t)strlen(number()));
    ck_assert_str_eq(text, number());
    pid_file_fini(&f);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("pid_file");
    TCase *tc = tcase_create("pid_file");
    tcase_add_checked_fixture(tc, make_directory, remove_directory);
    tcase_add_test(tc, has_one_number_and_is_gone_at_the_end);
    tcase_add_test(tc, without_a_path_nothing_is_done);
    tcase_add_test(tc, what_was_open_before_keeps_what_it_had);
    tcase_add_test(tc, one_that_others_have_put_there_stays);
    tcase_add_test(tc, what_is_no_file_is_written_to_and_stays);
    tcase_add_test(tc, says_what_is_in_the_way);
    suite_add_tcase(s, tc);
    tc = tcase_create("nobody");
    tcase_add_unchecked_fixture(tc, make_directory, remove_directory);
    tcase_add_loop_test(tc, the_descriptor_is_enough, 0, 3);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
