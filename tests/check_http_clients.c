#include <errno.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/http_clients.h"
#include "suite.h"

#define COUNT 4

static struct http_clients clients;
static struct http_client client[COUNT];
static int peer[COUNT];

static void begin(void)
{
    http_clients_init(&clients);
    for (int i = 0; i < COUNT; i++) {
        int fd[2];
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
        peer[i] = fd[1];
        http_clients_add(&clients, &client[i], fd[0], 1000);
    }
}

static void end(void)
{
    for (int i = 0; i < COUNT; i++) {
        http_clients_remove(&clients, &client[i]);
        close(client[i].fd);
        close(peer[i]);
    }
    ck_assert_uint_eq(clients.count, 0);
}

static bool is_gone(int i)
{
    char byte;
    return recv(peer[i], &byte, 1, MSG_PEEK) == 0;
}

START_TEST(the_longest_idle_is_evicted)
{
    begin();
    http_clients_touch(&clients, &client[0], 0);
    http_clients_touch(&clients, &client[1], 100);
    ck_assert(http_clients_evict(&clients));
    ck_assert(is_gone(2) && !is_gone(0) && !is_gone(1) && !is_gone(3));
    ck_assert_uint_eq(clients.count, 3);
    ck_assert(http_clients_evict(&clients));
    ck_assert(is_gone(3));
    ck_assert(http_clients_evict(&clients));
    ck_assert(is_gone(0) && !is_gone(1));
    end();
}
END_TEST

START_TEST(pending_client_is_not_evicted)
{
    begin();
    for (int i = 0; i < COUNT; i++)
        client[i].requested = client[i].pending = true;
    client[3].pending = false;
    ck_assert(http_clients_evict(&clients));
    ck_assert(is_gone(3));
    ck_assert(!http_clients_evict(&clients));
    http_clients_expire(&clients, 1000 + 10 * HTTP_READ_MS);
    ck_assert_uint_eq(clients.count, 3);
    end();
}
END_TEST

START_TEST(deadline_of_a_request_is_shorter_than_that_of_an_answer)
{
    begin();
    client[0].requested = client[1].requested = true;
    http_clients_expire(&clients, 1000 + HTTP_HEAD_MS - 1);
    ck_assert_uint_eq(clients.count, 4);
    http_clients_expire(&clients, 1000 + HTTP_HEAD_MS);
    ck_assert(is_gone(2) && is_gone(3) && !is_gone(0));
    http_clients_touch(&clients, &client[0], HTTP_READ_MIN);
    http_clients_touch(&clients, &client[1], HTTP_READ_MIN - 1);
    http_clients_expire(&clients, 1000 + HTTP_READ_MS);
    ck_assert(!is_gone(0) && is_gone(1));
    http_clients_expire(&clients, 1000 + 2 * HTTP_READ_MS); /* it has read nothing since */
    ck_assert(is_gone(0));
    end();
}
END_TEST

START_TEST(reserved_fd_accepts_a_client)
{
    struct fd_reserve fd_reserve = { .fd = -1 };
    struct sockaddr_storage from;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    struct rlimit before;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(fd, 8), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    ck_assert(fd_reserve_fill(&fd_reserve));
    int one = socket(AF_INET, SOCK_STREAM, 0);
    int two = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(one, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(connect(two, (struct sockaddr *)&at, len), 0);
    getrlimit(RLIMIT_NOFILE, &before);
    setrlimit(RLIMIT_NOFILE, &(struct rlimit){ (rlim_t)fd_reserve.fd + 1, before.rlim_max });
    int client_fd = http_clients_accept(fd, &fd_reserve, &from, &len);
    ck_assert_int_ge(client_fd, 0);
    ck_assert_int_eq(http_clients_accept(fd, &fd_reserve, &from, &len), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &before);
    close(client_fd);
    close(one);
    close(two);
    close(fd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("http clients");
    TCase *t = tcase_create("room");
    tcase_add_test(t, the_longest_idle_is_evicted);
    tcase_add_test(t, pending_client_is_not_evicted);
    tcase_add_test(t, deadline_of_a_request_is_shorter_than_that_of_an_answer);
    tcase_add_test(t, reserved_fd_accepts_a_client);
    suite_add_tcase(s, t);
    return suite_main(s);
}
