#include "relay/side.h"

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "relay/sock.h"

void side_init(struct side *sd)
{
    sd->fd = -1;
    sd->ready = 0;
    sd->tls = NULL;
}

void side_set_ktls(struct side *sd)
{
    side_clear(sd, SIDE_TCP | SIDE_GUESSED | SIDE_DOUBTED | SIDE_URGENT);
    side_set(sd, SIDE_KTLS);
}

int side_open(struct side *sd, int fd, bool tcp, struct event_set *set,
              void (*on_event)(struct watch *watch, uint32_t events))
{
    sd->watch.on_event = on_event;
    sd->ready = tcp ? SIDE_TCP : 0;
    int rc =
        event_set_add(set, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLPRI | EPOLLET, &sd->watch);
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
    if (events & (EPOLLRDHUP | EPOLLHUP)) /* a hint: the stream has ended when a read returns 0 */
        ready |= SIDE_READABLE | SIDE_ENDED;
    if (events & EPOLLPRI)
        ready |= SIDE_READABLE | SIDE_URGENT;
    if (events & EPOLLERR)
        ready |= SIDE_FAILED;
    sd->ready = (uint16_t)ready;
}

void side_close(struct side *sd)
{
    if (sd->fd == -1)
        return;
    close(sd->fd);
    sd->fd = -1;
}

/* ThreadSanitizer does not know close_range(2): the next user of the descriptor would seem to race.
 */
#ifdef __SANITIZE_THREAD__
#define CLOSES_RANGES false
#else
#define CLOSES_RANGES true
#endif

/* The server's socket is usually opened right after the client's, so that their numbers are
 * adjacent and one call closes both: close_range(2), since Linux 5.9. */
static bool close_adjacent(const struct side *a, const struct side *b)
{
    int first = a->fd < b->fd ? a->fd : b->fd;
    int last = a->fd < b->fd ? b->fd : a->fd;
    return CLOSES_RANGES && first != -1 && last - first == 1 &&
           syscall(SYS_close_range, first, last, 0) == 0;
}

void side_close_both(struct side *a, struct side *b)
{
    if (close_adjacent(a, b))
        a->fd = b->fd = -1;
    side_close(a);
    side_close(b);
}

void side_reset_both(struct side *a, struct side *b)
{
    if (a->fd != -1)
        sock_reset_on_close(a->fd);
    if (b->fd != -1)
        sock_reset_on_close(b->fd);
    side_close_both(a, b);
}
