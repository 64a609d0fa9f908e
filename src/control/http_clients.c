#include "control/http_clients.h"

#include <errno.h>

static int http_clients_accept_one(int fd, struct sockaddr_storage *from, socklen_t *len)
{
    *len = sizeof *from;
    int client = accept4(fd, (struct sockaddr *)from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return client == -1 ? -errno : client;
}

int http_clients_accept(int fd, struct fd_reserve *fd_reserve, struct sockaddr_storage *from,
                        socklen_t *len)
{
    int client = http_clients_accept_one(fd, from, len);
    if ((client == -EMFILE || client == -ENFILE) && fd_reserve_release(fd_reserve))
        client = http_clients_accept_one(fd, from, len);
    return client;
}

void http_clients_init(struct http_clients *cs)
{
    TAILQ_INIT(&cs->all);
    cs->count = 0;
}

void http_clients_add(struct http_clients *cs, struct http_client *c, int fd, uint64_t now)
{
    *c = (struct http_client){ .fd = fd, .began = now, .measured = now };
    TAILQ_INSERT_TAIL(&cs->all, c, in_clients);
    cs->count++;
}

void http_clients_remove(struct http_clients *cs, struct http_client *c)
{
    TAILQ_REMOVE(&cs->all, c, in_clients);
    cs->count -= !c->shut_down;
}

void http_clients_touch(struct http_clients *cs, struct http_client *c, size_t bytes)
{
    c->read += bytes;
    TAILQ_REMOVE(&cs->all, c, in_clients);
    TAILQ_INSERT_TAIL(&cs->all, c, in_clients);
}

static void http_clients_shut_down(struct http_clients *cs, struct http_client *c)
{
    (void)shutdown(c->fd, SHUT_RDWR);
    c->shut_down = true;
    cs->count--;
}

bool http_clients_evict(struct http_clients *cs)
{
    struct http_client *c;
    TAILQ_FOREACH(c, &cs->all, in_clients) {
        if (c->shut_down || c->pending)
            continue;
        http_clients_shut_down(cs, c);
        return true;
    }
    return false;
}

static bool http_client_is_expired(struct http_client *c, uint64_t now)
{
    if (!c->requested)
        return now - c->began >= HTTP_HEAD_MS;
    if (now - c->measured < HTTP_READ_MS)
        return false;
    if (c->read < HTTP_READ_MIN)
        return true;
    c->measured = now;
    c->read = 0;
    return false;
}

void http_clients_expire(struct http_clients *cs, uint64_t now)
{
    struct http_client *c;
    TAILQ_FOREACH(c, &cs->all, in_clients)
        if (!c->shut_down && !c->pending && http_client_is_expired(c, now))
            http_clients_shut_down(cs, c);
}
