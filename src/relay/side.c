#include "relay/side.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "relay/sock.h"

void side_init(struct side *sd)
{
    sd->fd = -1;
    sd->ready = 0;
}

int side_open(struct side *sd, int fd, bool tcp, struct poller *poller,
              void (*on_event)(struct watch *watch, uint32_t events))
{
    sd->watch.on_event = on_event;
    sd->ready = tcp ? SIDE_TCP : 0;
    int rc =
        poller_add(poller, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, &sd->watch);
    if (rc == 0)
        sd->fd = fd;
    return rc;
}

void side_note(struct side *sd, uint32_t events)
{
    unsigned ready = sd->ready;
    if (events & EPOLLIN)
        ready |= SIDE_READABLE;
    if (events & EPOLLOUT)
        ready |= SIDE_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP)) /* a hint: only a read of nothing is the end */
        ready |= SIDE_READABLE | SIDE_ENDED;
    if (events & EPOLLPRI)
        ready |= SIDE_READABLE | SIDE_URGENT;
    if (events & EPOLLERR)
        ready |= SIDE_FAILED;
    sd->ready = (uint8_t)ready;
}

void side_close(struct side *sd)
{
    if (sd->fd == -1)
        return;
    close(sd->fd);
    sd->fd = -1;
}

void side_reset(struct side *sd)
{
    if (sd->fd == -1)
        return;
    sock_reset(sd->fd);
    sd->fd = -1;
}
