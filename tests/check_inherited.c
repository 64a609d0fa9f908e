#include "control/inherited.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

#define FIRST 3

/* Occupies descriptors 3 to 5, so that Check opens no file there before the test uses them. */
static void reserve_fds(void)
{
    int fd = open("/dev/null", O_RDONLY);
    while (fd < FIRST + 3)
        fd = dup(fd);
    close(fd);
}

/* Moves a descriptor to the number that the service manager passes. */
static void move_fd(int fd, int number)
{
    if (fd != number) {
        ck_assert_int_eq(dup2(fd, number), number);
        close(fd);
    }
}

static int listening(void)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    return fd;
}

static void hand_over(long pid, const char *count, const char *names)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", pid);
    setenv("LISTEN_PID", text, 1);
    setenv("LISTEN_FDS", count, 1);
    if (names != NULL)
        setenv("LISTEN_FDNAMES", names, 1);
}

START_TEST(takes_all_with_their_names)
{
    struct inherited in;
    move_fd(listening(), FIRST);
    move_fd(listening(), FIRST + 1);
    move_fd(listening(), FIRST + 2);
    hand_over(getpid(), "3", "web::mail");
    ck_assert_int_eq(inherited_init(&in), 0);
    ck_assert_uint_eq(in.count, 3);
    ck_assert_str_eq(in.socket[0]->name, "web");
    ck_assert_str_eq(in.socket[1]->name, "");
    ck_assert_str_eq(in.socket[2]->name, "mail");
    ck_assert_int_eq(in.socket[2]->number, FIRST + 2);
    inherited_fini(&in);
    ck_assert_int_eq(fcntl(FIRST, F_GETFD), -1); /* closed */
}
END_TEST

START_TEST(without_names_they_are_unknown)
{
    struct inherited in;
    move_fd(listening(), FIRST);
    move_fd(listening(), FIRST + 1);
    hand_over(getpid(), "2", NULL);
    ck_assert_int_eq(inherited_init(&in), 0);
    ck_assert_str_eq(in.socket[1]->name, "unknown");
    ck_assert(inherited_matches(in.socket[1], "unknown"));
    ck_assert(inherited_matches(in.socket[1], "4"));
    ck_assert(!inherited_matches(in.socket[1], "3"));
    inherited_fini(&in);
}
END_TEST

START_TEST(children_do_not_inherit_them)
{
    struct inherited in;
    move_fd(listening(), FIRST);
    hand_over(getpid(), "1", "web");
    ck_assert_int_eq(inherited_init(&in), 0);
    ck_assert_ptr_null(getenv("LISTEN_PID"));
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
    ck_assert_ptr_null(getenv("LISTEN_FDNAMES"));
    ck_assert(fcntl(FIRST, F_GETFD) & FD_CLOEXEC);
    ck_assert(fcntl(FIRST, F_GETFL) & O_NONBLOCK);
    inherited_fini(&in);
}
END_TEST

static const char *const nonsense[] = { "", "-1", "0", "1x", "99999999999999999999", "2147483647" };

START_TEST(ignores_an_invalid_count)
{
    struct inherited in;
    hand_over(getpid(), nonsense[_i], "web");
    ck_assert_int_eq(inherited_init(&in), 0);
    ck_assert_uint_eq(in.count, 0);
    inherited_fini(&in);
}
END_TEST

START_TEST(ignores_sockets_of_another_pid)
{
    struct inherited in;
    move_fd(listening(), FIRST);
    hand_over(getppid(), "1", "web");
    ck_assert_int_eq(inherited_init(&in), 0);
    ck_assert_uint_eq(in.count, 0);
    ck_assert_ptr_null(getenv("LISTEN_FDS"));
    ck_assert_int_eq(fcntl(FIRST, F_GETFD), 0);
    inherited_fini(&in);
}
END_TEST

static int address_of(int fd)
{
    struct inherited_socket s = { .fd = fd };
    struct addr at;
    int rc = inherited_address(&s, &at);
    close(fd);
    return rc;
}

START_TEST(takes_listening_streams_only)
{
    ck_assert_int_eq(address_of(listening()), 0);
    ck_assert_int_eq(address_of(socket(AF_INET, SOCK_STREAM, 0)), -EDESTADDRREQ);
    ck_assert_int_eq(address_of(socket(AF_INET, SOCK_DGRAM, 0)), -EPROTONOSUPPORT);
    ck_assert_int_eq(address_of(socket(AF_UNIX, SOCK_SEQPACKET, 0)), -EPROTONOSUPPORT);
    ck_assert_int_eq(address_of(open("/dev/null", O_RDONLY)), -ENOTSOCK);
}
END_TEST

START_TEST(prints_the_sockets)
{
    struct inherited in = { .socket = NULL };
    char text[200] = "";
    FILE *out = fmemopen(text, sizeof text, "w");
    ck_assert_int_eq(inherited_adopt(&in, "web", 3, listening()), 0);
    ck_assert_int_eq(inherited_adopt(&in, "mail", 4, listening()), 0);
    inherited_print(&in, out);
    fclose(out);
    ck_assert_str_eq(text, "it passed fd:web (fd:3), fd:mail (fd:4)");
    inherited_fini(&in);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("inherited");
    TCase *t = tcase_create("inherited");
    reserve_fds();
    tcase_add_checked_fixture(t, NULL, reserve_fds);
    tcase_add_test(t, takes_all_with_their_names);
    tcase_add_test(t, without_names_they_are_unknown);
    tcase_add_test(t, children_do_not_inherit_them);
    tcase_add_loop_test(t, ignores_an_invalid_count, 0, sizeof nonsense / sizeof nonsense[0]);
    tcase_add_test(t, ignores_sockets_of_another_pid);
    tcase_add_test(t, takes_listening_streams_only);
    tcase_add_test(t, prints_the_sockets);
    suite_add_tcase(s, t);
    return suite_main(s);
}
