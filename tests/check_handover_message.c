#include "handover/handover_message.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suite.h"

static int here;
static int there;
static struct handover_message out;
static struct handover_message in;
static size_t open_at_begin;

static size_t open_descriptors(void)
{
    size_t count = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d) != NULL)
        count++;
    closedir(d);
    return count;
}

static void begin(void)
{
    int pair[2];
    open_at_begin = open_descriptors();
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    here = pair[0];
    there = pair[1];
}

static void end(void)
{
    close(here);
    close(there);
    ck_assert_uint_eq(open_descriptors(), open_at_begin);
}

struct item {
    uint32_t number;
    char text[12]; /* without padding, which valgrind would report */
};

static void close_all(const int *fd, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fd[i] != -1)
            close(fd[i]);
}

static bool is_same(int a, int b)
{
    struct stat sa, sb;
    return fstat(a, &sa) == 0 && fstat(b, &sb) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

START_TEST(items_arrive_in_order_with_their_descriptors)
{
    int pipe_fd[2];
    const struct item items[] = { { 1, "first" }, { 2, "second" }, { 3, "12345678" } };
    ck_assert_int_eq(pipe2(pipe_fd, O_CLOEXEC), 0);
    const int fd[][3] = { { -1, pipe_fd[0], -1 }, { -1, -1, -1 }, { pipe_fd[0], -1, pipe_fd[1] } };
    handover_message_init(&out, HANDOVER_SESSIONS);
    for (int i = 0; i < 3; i++)
        ck_assert(handover_message_add(&out, &items[i], sizeof items[i], fd[i], 3));
    ck_assert_int_eq(handover_message_send(here, &out, HANDOVER_TIMEOUT_MS), 0);
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), 0);
    ck_assert_uint_eq(in.type, HANDOVER_SESSIONS);
    ck_assert_uint_eq(in.count, 3);
    struct handover_message_cursor at = { 0, 0 };
    for (int i = 0; i < 3; i++) {
        struct item got;
        int got_fd[3];
        ck_assert(handover_message_take(&in, &at, &got, sizeof got, got_fd, 3));
        ck_assert_uint_eq(got.number, items[i].number);
        ck_assert_str_eq(got.text, items[i].text);
        for (int k = 0; k < 3; k++) {
            ck_assert_int_eq(got_fd[k] == -1, fd[i][k] == -1);
            ck_assert(fd[i][k] == -1 || is_same(got_fd[k], fd[i][k]));
            ck_assert(fd[i][k] == -1 || (fcntl(got_fd[k], F_GETFD) & FD_CLOEXEC) != 0);
        }
        close_all(got_fd, 3);
    }
    struct item more;
    ck_assert(!handover_message_take(&in, &at, &more, sizeof more, NULL, 0));
    close_all(pipe_fd, 2);
}
END_TEST

START_TEST(a_message_is_full_of_bytes_or_of_descriptors)
{
    static const char big[4096];
    size_t bytes = 0;
    size_t fds = 0;
    const int fd[2] = { here, there };
    handover_message_init(&out, HANDOVER_LATE_SESSIONS);
    while (handover_message_add(&out, big, sizeof big, NULL, 0))
        bytes += sizeof big;
    ck_assert_uint_gt(bytes, HANDOVER_MESSAGE_BYTES - 2 * sizeof big);
    handover_message_init(&out, HANDOVER_LATE_SESSIONS);
    while (handover_message_add(&out, big, 1, fd, 2))
        fds += 2;
    ck_assert_uint_eq(fds, HANDOVER_MESSAGE_FDS);
    ck_assert_uint_eq(out.count, HANDOVER_MESSAGE_FDS / 2);
    ck_assert_int_eq(handover_message_send(here, &out, HANDOVER_TIMEOUT_MS),
                     0); /* the kernel accepts that many */
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), 0);
    ck_assert_uint_eq(in.fd_count, HANDOVER_MESSAGE_FDS);
    const struct handover_message_cursor none = { 0, 0 };
    handover_message_close_rest(&in, &none);
}
END_TEST

START_TEST(descriptors_that_were_not_taken_are_closed)
{
    const int fd[2] = { here, there };
    int got[2];
    handover_message_init(&out, HANDOVER_SOCKET);
    for (int i = 0; i < 5; i++)
        ck_assert(handover_message_add(&out, "x", 1, fd, 2));
    ck_assert_int_eq(handover_message_send(here, &out, HANDOVER_TIMEOUT_MS), 0);
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), 0);
    struct handover_message_cursor at = { 0, 0 };
    char x;
    ck_assert(handover_message_take(&in, &at, &x, 1, got, 2));
    handover_message_close_rest(&in, &at);
    close_all(got, 2);
}
END_TEST

/* ---- malformed messages ---- */

/* As in handover_message.c. */
struct head {
    uint32_t magic;
    uint16_t version;
    uint16_t type;
    uint32_t count;
    uint32_t size;
    uint32_t fds;
};

/* The bytes of a valid message, with one descriptor. */
static size_t valid_message(char *message, size_t room)
{
    const int fd[1] = { here };
    handover_message_init(&out, HANDOVER_CONFIG);
    ck_assert(handover_message_add(&out, "0123456789", 10, fd, 1));
    ck_assert_int_eq(handover_message_send(here, &out, HANDOVER_TIMEOUT_MS), 0);
    ssize_t n = recv(there, message, room, 0); /* the descriptor is dropped */
    ck_assert_int_gt(n, (ssize_t)sizeof(struct head));
    return (size_t)n;
}

static void send_raw(const void *message, size_t size, int fds)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(253 * sizeof(int))];
    } rights;
    struct iovec part = { (void *)message, size };
    struct msghdr msg = { .msg_iov = &part, .msg_iovlen = 1 };
    if (fds > 0) {
        int list[253];
        for (int i = 0; i < fds; i++)
            list[i] = here;
        memset(&rights, 0, sizeof rights);
        rights.header.cmsg_level = SOL_SOCKET;
        rights.header.cmsg_type = SCM_RIGHTS;
        rights.header.cmsg_len = CMSG_LEN((size_t)fds * sizeof(int));
        memcpy(CMSG_DATA(&rights.header), list, (size_t)fds * sizeof(int));
        msg.msg_control = &rights;
        msg.msg_controllen = CMSG_SPACE((size_t)fds * sizeof(int));
    }
    ck_assert_int_eq(sendmsg(here, &msg, MSG_NOSIGNAL), (ssize_t)size);
}

static void expect_bad(const void *message, size_t size, int fds, int error)
{
    send_raw(message, size, fds);
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), error);
}

START_TEST(every_truncation_is_detected)
{
    char message[256];
    size_t size = valid_message(message, sizeof message);
    for (size_t n = 1; n < size; n++)
        expect_bad(message, n, 1, -EBADMSG);
    send_raw(message, size, 1);
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), 0);
    const struct handover_message_cursor none = { 0, 0 };
    handover_message_close_rest(&in, &none);
}
END_TEST

START_TEST(another_version_is_distinguished_from_garbage)
{
    char message[256];
    size_t size = valid_message(message, sizeof message);
    struct head head;
    memcpy(&head, message, sizeof head);
    head.version++;
    memcpy(message, &head, sizeof head);
    expect_bad(message, size, 1, -EPROTONOSUPPORT);
    head.version--;
    head.magic ^= 1;
    memcpy(message, &head, sizeof head);
    expect_bad(message, size, 1, -EBADMSG);
}
END_TEST

START_TEST(a_wrong_number_of_descriptors)
{
    char message[256];
    size_t size = valid_message(message, sizeof message);
    expect_bad(message, size, 0, -EBADMSG);
    expect_bad(message, size, 2, -EBADMSG);
    expect_bad(message, size, 253, -EBADMSG);
}
END_TEST

START_TEST(a_message_that_is_too_long)
{
    static char message[sizeof(struct head) + HANDOVER_MESSAGE_BYTES + 1];
    valid_message(message, sizeof message);
    expect_bad(message, sizeof message, 1, -EBADMSG);
}
END_TEST

/* The header is valid, but not the items: nothing is read beyond the message. */
START_TEST(missing_items)
{
    char message[256];
    size_t size = valid_message(message, sizeof message);
    struct head head;
    memcpy(&head, message, sizeof head);
    head.count = UINT32_MAX;
    memcpy(message, &head, sizeof head);
    send_raw(message, size, 1);
    ck_assert_int_eq(handover_message_receive(there, &in, HANDOVER_TIMEOUT_MS), 0);
    struct handover_message_cursor at = { 0, 0 };
    char big[64];
    int fd[2];
    ck_assert(!handover_message_take(&in, &at, big, sizeof big, fd, 1)); /* a longer item */
    ck_assert(
        !handover_message_take(&in, &at, big, 10, NULL, 0)); /* without room for its descriptor */
    ck_assert(handover_message_take(&in, &at, big, 10, fd, 2));
    ck_assert_mem_eq(big, "0123456789", 10);
    ck_assert_int_eq(fd[1], -1);
    ck_assert(!handover_message_take(&in, &at, big, 10, fd, 2));
    handover_message_close_rest(&in, &at);
    close(fd[0]);
}
END_TEST

START_TEST(the_peer_has_closed)
{
    int pair[2];
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    close(pair[1]);
    handover_message_init(&out, HANDOVER_COMPLETE);
    ck_assert_int_eq(handover_message_send(pair[0], &out, HANDOVER_TIMEOUT_MS), -EPIPE);
    ck_assert_int_eq(handover_message_receive(pair[0], &in, HANDOVER_TIMEOUT_MS), -EPIPE);
    close(pair[0]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("handover_message");
    TCase *t = tcase_create("handover_message");
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, items_arrive_in_order_with_their_descriptors);
    tcase_add_test(t, a_message_is_full_of_bytes_or_of_descriptors);
    tcase_add_test(t, descriptors_that_were_not_taken_are_closed);
    tcase_add_test(t, every_truncation_is_detected);
    tcase_add_test(t, another_version_is_distinguished_from_garbage);
    tcase_add_test(t, a_wrong_number_of_descriptors);
    tcase_add_test(t, a_message_that_is_too_long);
    tcase_add_test(t, missing_items);
    tcase_add_test(t, the_peer_has_closed);
    suite_add_tcase(s, t);
    return suite_main(s);
}
