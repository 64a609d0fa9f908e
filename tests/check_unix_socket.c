#include "relay/unix_socket.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"

#define BOB    1234 /* another user */
#define RACERS 6

static char top[32];
static char victim[48];
static struct addr at; /* top/s, or in a directory of BOB's */
static struct file_id file;

static struct addr address_in(const char *directory)
{
    struct addr a = { .len = 0 };
    a.un.sun_family = AF_UNIX;
    int n = snprintf(a.un.sun_path, sizeof a.un.sun_path, "%s/s", directory);
    a.len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)n + 1);
    return a;
}

static void make_tree(void)
{
    snprintf(top, sizeof top, "/tmp/check_unix.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(top));
    ck_assert_int_eq(chmod(top, 0755), 0);
    snprintf(victim, sizeof victim, "%s/victim", top);
    int fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    ck_assert_int_ne(fd, -1);
    ck_assert_int_eq(fchmod(fd, 0600), 0);
    close(fd);
    at = address_in(top);
}

static void remove_tree(void)
{
    char command[64];
    snprintf(command, sizeof command, "rm -rf %s", top);
    ck_assert_int_eq(system(command), 0); /* NOLINT(cert-env33-c) */
}

static void expect_untouched(void)
{
    struct stat st;
    ck_assert_int_eq(stat(victim, &st), 0);
    ck_assert_uint_eq(st.st_mode & 07777, 0600);
    ck_assert_uint_eq(st.st_uid, geteuid());
    ck_assert(S_ISREG(st.st_mode));
}

static int new_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ne(fd, -1);
    return fd;
}

/* Binds and listens; returns the socket or -errno. */
static int serve(unsigned mode, const struct unix_owner *owner)
{
    int fd = new_socket();
    int rc = unix_socket_bind(fd, &at, mode, owner, &file);
    if (rc == 0 && listen(fd, 5) == -1)
        rc = -errno;
    if (rc == 0)
        return fd;
    close(fd);
    return rc;
}

static bool is_reached(void)
{
    int fd = new_socket();
    bool reached = connect(fd, &at.sa, at.len) == 0;
    close(fd);
    return reached;
}

static struct stat stat_of(const struct addr *a)
{
    struct stat st = { .st_mode = 0 };
    (void)lstat(a->un.sun_path, &st);
    return st;
}

/* Old enough to be what a program left behind. */
static void leave_behind(void)
{
    const struct timespec while_ = { .tv_sec = 1, .tv_nsec = 50000000 };
    int fd = serve(0, NULL);
    ck_assert_int_ge(fd, 0);
    close(fd);
    nanosleep(&while_, NULL);
}

START_TEST(the_file_has_its_mode_whatever_the_umask)
{
    const unsigned modes[] = { 0666, 0600, 0777, 0640 };
    mode_t before = umask(0077);
    int fd = serve(modes[_i], NULL);
    ck_assert_uint_eq(stat_of(&at).st_mode & 07777, modes[_i]);
    ck_assert_uint_eq(umask(before), 0077); /* as it was */
    ck_assert_int_eq(unix_socket_set_mode(&at, &file, 0660), 0);
    ck_assert_uint_eq(stat_of(&at).st_mode & 07777, 0660);
    close(fd);
}
END_TEST

START_TEST(a_file_of_another_program_is_not_removed)
{
    int first = serve(0, NULL);
    struct file_id firsts = file;
    ck_assert_int_eq(unix_socket_check(&at, &firsts), 0);
    ck_assert_int_eq(unlink(at.un.sun_path), 0);
    ck_assert_int_eq(unix_socket_check(&at, &firsts), -ENOENT);
    int second = serve(0, NULL);
    ck_assert_int_eq(unix_socket_check(&at, &firsts), -ESTALE);
    unix_socket_unlink(&at, &firsts);
    ck_assert(is_reached());
    ck_assert_int_eq(unix_socket_set_mode(&at, &firsts, 0666), -ESTALE);
    close(first);
    unix_socket_unlink(&at, &file);
    ck_assert_uint_eq(stat_of(&at).st_mode, 0);
    close(second);
}
END_TEST

START_TEST(one_in_use_stays)
{
    int fd = serve(0, NULL);
    struct stat before = stat_of(&at);
    ck_assert_int_eq(unix_socket_probe(&at), -EADDRINUSE);
    ck_assert_int_eq(serve(0, NULL), -EADDRINUSE);
    ck_assert_uint_eq(stat_of(&at).st_ino, before.st_ino);
    close(fd);
}
END_TEST

START_TEST(one_left_behind_is_removed_by_who_binds_and_by_no_other)
{
    leave_behind();
    struct stat before = stat_of(&at);
    ck_assert_int_eq(unix_socket_probe(&at), 0);
    ck_assert_uint_eq(stat_of(&at).st_ino, before.st_ino);
    int fd = serve(0, NULL);
    ck_assert_int_ge(fd, 0);
    ck_assert(is_reached());
    close(fd);
}
END_TEST

/* In a process of its own: tells whether it serves, and then does until the other end is closed. */
static void race(int told, int until)
{
    const struct timespec pause = { .tv_nsec = 20000000 };
    char byte = 0;
    int fd = new_socket();
    int rc = unix_socket_bind(fd, &at, 0, NULL, &file);
    nanosleep(&pause, NULL); /* what a program has to do in between */
    if (rc == 0)
        rc = listen(fd, 5);
    (void)!write(told, rc == 0 ? "1" : "0", 1);
    (void)!read(until, &byte, 1);
    _exit(0);
}

/* Several start at once, over the file of one that is gone. */
START_TEST(of_several_that_start_one_gets_the_address)
{
    int told[2];
    int until[2];
    int served = 0;
    leave_behind();
    ck_assert(pipe(told) == 0 && pipe(until) == 0);
    for (int i = 0; i < RACERS; i++)
        if (fork() == 0) {
            close(until[1]);
            race(told[1], until[0]);
        }
    for (int i = 0; i < RACERS; i++) {
        char byte = 0;
        ck_assert_int_eq(read(told[0], &byte, 1), 1);
        served += byte == '1';
    }
    ck_assert_int_eq(served, 1);
    ck_assert(is_reached());
    close(until[1]);
    for (int i = 0; i < RACERS; i++)
        ck_assert_int_ne(wait(NULL), -1);
}
END_TEST

START_TEST(what_is_no_socket_stays)
{
    ck_assert_int_eq(symlink(victim, at.un.sun_path), 0);
    ck_assert_int_eq(unix_socket_probe(&at), -EEXIST);
    ck_assert_int_eq(serve(0666, &(struct unix_owner){ BOB, BOB }), -EEXIST);
    ck_assert_int_eq(unix_socket_set_mode(&at, &file, 0666), -ESTALE);
    ck_assert(S_ISLNK(stat_of(&at).st_mode));
    expect_untouched();
}
END_TEST

START_TEST(the_file_is_given_away_and_nothing_else)
{
    const struct unix_owner owner = { BOB, BOB };
    if (geteuid() != 0)
        return;
    int fd = serve(0600, &owner);
    ck_assert_uint_eq(stat_of(&at).st_uid, BOB);
    ck_assert_uint_eq(stat_of(&at).st_gid, BOB);
    ck_assert_uint_eq(stat_of(&at).st_mode & 07777, 0600);
    ck_assert_int_eq(unlink(at.un.sun_path), 0);
    ck_assert_int_eq(symlink(victim, at.un.sun_path), 0);
    ck_assert_int_eq(unix_socket_set_mode(&at, &file, 0666), -ESTALE);
    unix_socket_unlink(&at, &file);
    ck_assert(S_ISLNK(stat_of(&at).st_mode));
    expect_untouched();
    close(fd);
}
END_TEST

/* Links in the directory part lead nowhere, and a directory that others could move is held. */
START_TEST(in_directories_of_others_no_link_is_followed)
{
    char bobs[48];
    char link[64];
    char inner[64];
    if (geteuid() != 0)
        return;
    snprintf(bobs, sizeof bobs, "%s/bobs", top);
    snprintf(link, sizeof link, "%s/link", bobs);
    snprintf(inner, sizeof inner, "%s/inner", bobs);
    ck_assert(mkdir(bobs, 0755) == 0 && chown(bobs, BOB, BOB) == 0);
    ck_assert(mkdir(inner, 0755) == 0 && chown(inner, BOB, BOB) == 0);
    ck_assert(symlink(top, link) == 0 && lchown(link, BOB, BOB) == 0);
    at = address_in(link);
    ck_assert_int_eq(unix_socket_probe(&at), -ELOOP);
    ck_assert_int_eq(serve(0666, NULL), -ELOOP);
    ck_assert_uint_eq(stat_of(&at).st_mode, 0);

    at = address_in(inner);
    int fd = serve(0666, &(struct unix_owner){ BOB, (gid_t)-1 });
    ck_assert_int_ge(fd, 0);
    ck_assert(is_reached());
    struct addr name = { .len = sizeof name.un };
    ck_assert_int_eq(getsockname(fd, &name.sa, &name.len), 0);
    ck_assert(unix_socket_is_by_descriptor(&name));
    ck_assert_uint_eq(stat_of(&at).st_uid, BOB);
    unix_socket_unlink(&at, &file);
    ck_assert_uint_eq(stat_of(&at).st_mode, 0);
    close(fd);
}
END_TEST

START_TEST(a_stranger_s_file_in_tmp_stays)
{
    if (geteuid() != 0)
        return;
    ck_assert_int_eq(chmod(top, 01777), 0);
    leave_behind();
    ck_assert_int_eq(chown(at.un.sun_path, BOB, BOB), 0);
    const struct timespec while_ = { .tv_sec = 1, .tv_nsec = 50000000 };
    nanosleep(&while_, NULL);
    ck_assert_int_eq(serve(0, NULL), -EADDRINUSE);
    int fd = serve(0, &(struct unix_owner){ BOB, BOB }); /* he is the user */
    ck_assert_int_ge(fd, 0);
    close(fd);
}
END_TEST

START_TEST(an_abstract_name_has_no_file)
{
    struct addr name = { .len = sizeof(sa_family_t) + 20 };
    name.un.sun_family = AF_UNIX;
    snprintf(name.un.sun_path + 1, 19, "zproxy-%ld", (long)getpid());
    int fd = new_socket();
    ck_assert_int_eq(unix_socket_probe(&name), 0);
    ck_assert_int_eq(unix_socket_bind(fd, &name, 0600, NULL, &file), 0);
    ck_assert_int_eq(unix_socket_check(&name, &file), 0);
    ck_assert_int_eq(unix_socket_set_mode(&name, &file, 0600), 0);
    unix_socket_unlink(&name, &file);
    int other = new_socket();
    ck_assert_int_eq(unix_socket_bind(other, &name, 0, NULL, &file), -EADDRINUSE);
    close(other);
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("unix_socket");
    TCase *tc = tcase_create("unix_socket");
    tcase_set_timeout(tc, 30);
    tcase_add_checked_fixture(tc, make_tree, remove_tree);
    tcase_add_loop_test(tc, the_file_has_its_mode_whatever_the_umask, 0, 4);
    tcase_add_test(tc, a_file_of_another_program_is_not_removed);
    tcase_add_test(tc, one_in_use_stays);
    tcase_add_test(tc, one_left_behind_is_removed_by_who_binds_and_by_no_other);
    tcase_add_test(tc, of_several_that_start_one_gets_the_address);
    tcase_add_test(tc, what_is_no_socket_stays);
    tcase_add_test(tc, the_file_is_given_away_and_nothing_else);
    tcase_add_test(tc, in_directories_of_others_no_link_is_followed);
    tcase_add_test(tc, a_stranger_s_file_in_tmp_stays);
    tcase_add_test(tc, an_abstract_name_has_no_file);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    return suite_main(suite());
}
