#include "rig.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

static void on_event(struct watch *watch, uint32_t events)
{
    side_note((struct side *)watch, events);
}

/* A TCP connection: socketpair(2) would make unix sockets, which splice differently. */
static void connect_pair(int *far, int *near)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    ck_assert_int_eq(listen(listener, 1), 0);
    ck_assert_int_eq(getsockname(listener, (struct sockaddr *)&at, &len), 0);
    *far = socket(AF_INET, SOCK_STREAM, 0);
    ck_assert_int_eq(connect(*far, (struct sockaddr *)&at, sizeof at), 0);
    *near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    ck_assert_int_ge(*near, 0);
    close(listener);
}

void rig_open(struct rig *r, enum rig_kind kind)
{
    int client, server;
    memset(r, 0, sizeof *r);
    connect_pair(&r->client, &client);
    connect_pair(&r->server, &server);
    r->quota.left = 16;
    ck_assert_int_eq(uv_loop_init(&r->loop), 0);
    ck_assert_int_eq(event_set_init(&r->set, &r->loop, BUSY_POLL_NEVER, 0), 0);
    ck_assert_int_eq(relay_stock_init(&r->relay_stock, kind == RIG_SPLICE, &r->quota, 64 * 1024),
                     0);
    side_init(&r->client_side);
    side_init(&r->server_side);
    ck_assert_int_eq(side_open(&r->client_side, client, true, &r->set, on_event), 0);
    ck_assert_int_eq(side_open(&r->server_side, server, true, &r->set, on_event), 0);
    flow_init(&r->up, RELAY_UP);
    flow_init(&r->down, RELAY_DOWN);
}

void rig_close(struct rig *r)
{
    flow_fini(&r->up, &r->relay_stock);
    flow_fini(&r->down, &r->relay_stock);
    side_close(&r->client_side);
    side_close(&r->server_side);
    event_set_fini(&r->set);
    relay_stock_fini(&r->relay_stock);
    ck_assert_int_eq(uv_loop_close(&r->loop), 0);
    close(r->client);
    close(r->server);
}

void rig_await(struct rig *r, struct side *sd, enum side_ready bit)
{
    for (int i = 0; i < 2000 && !side_is(sd, bit); i++) {
        struct epoll_event ev[8];
        int n = epoll_wait(r->set.fd, ev, 8, 10);
        for (int k = 0; k < n; k++)
            if (ev[k].data.ptr != NULL)
                on_event(ev[k].data.ptr, ev[k].events);
    }
    ck_assert(side_is(sd, bit));
}

static bool take_events(struct rig *r)
{
    struct epoll_event ev[8];
    int n = epoll_wait(r->set.fd, ev, 8, 1);
    for (int k = 0; k < n; k++)
        if (ev[k].data.ptr != NULL)
            on_event(ev[k].data.ptr, ev[k].events);
    return n > 0;
}

int rig_pump_on_events(struct rig *r)
{
    int up, down;
    do {
        do {
            up = flow_pump(&r->up, &r->client_side, &r->server_side, &r->relay_stock);
            down = flow_pump(&r->down, &r->server_side, &r->client_side, &r->relay_stock);
            if (up < 0 || down < 0)
                return up < 0 ? up : down;
        } while (up == FLOW_AGAIN || down == FLOW_AGAIN);
    } while (take_events(r));
    return 0;
}

static bool confirm(struct flow *f, struct side *src)
{
    bool first = flow_confirm(f, src); /* the second look asks */
    bool second = flow_confirm(f, src);
    return first || second;
}

bool rig_confirm(struct rig *r)
{
    bool up = confirm(&r->up, &r->client_side);
    bool down = confirm(&r->down, &r->server_side);
    return up || down;
}

int rig_pump(struct rig *r)
{
    int rc;
    do {
        rc = rig_pump_on_events(r);
    } while (rc == 0 && rig_confirm(r));
    return rc;
}

void rig_send(int fd, const void *data, size_t len)
{
    ck_assert_int_eq(send(fd, data, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* A test that waits for what does not come fails, even where no process of its own is ended. */
static void await_readable(int fd)
{
    struct pollfd fds = { .fd = fd, .events = POLLIN };
    ck_assert_int_eq(poll(&fds, 1, 20000), 1);
}

void rig_expect(int fd, const void *data, size_t len)
{
    char *got = malloc(len + 1);
    ck_assert_ptr_nonnull(got);
    size_t have = 0;
    while (have < len) {
        await_readable(fd);
        ssize_t n = recv(fd, got + have, len - have, 0);
        ck_assert_int_gt(n, 0);
        have += (size_t)n;
    }
    ck_assert_mem_eq(got, data, len);
    free(got);
}

void rig_expect_end(int fd)
{
    char c;
    await_readable(fd);
    ck_assert_int_eq(recv(fd, &c, 1, 0), 0);
}
