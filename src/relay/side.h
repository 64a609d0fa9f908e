/* A side: one socket of a session, and its readiness.
 *
 * A socket is added to the event set once, edge-triggered, for all events. The side keeps the
 * readiness until a call returns EAGAIN. So a blocked peer costs no epoll_ctl(2), and a stalled
 * session cannot spin, not even on EPOLLHUP, which cannot be masked. Embedded in a session; for the
 * worker's thread.
 */
#ifndef ZPROXY_RELAY_SIDE_H
#define ZPROXY_RELAY_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/event_set.h"

enum side_ready {
    SIDE_READABLE = 1 << 0, /* a read may return bytes */
    SIDE_WRITABLE = 1 << 1, /* a write may succeed */
    SIDE_ENDED = 1 << 2,    /* the peer has sent FIN; bytes may still be unread */
    SIDE_URGENT = 1 << 3,   /* an urgent mark has not been passed yet */
    SIDE_FAILED = 1 << 4,   /* an error may be pending: see sock_error() */
    SIDE_TCP = 1 << 5,      /* after a short read the socket is empty */
    SIDE_GUESSED = 1 << 6,  /* taken for empty without asking the kernel: see flow_confirm() */
    SIDE_DOUBTED = 1 << 7,  /* guessed, and the next flow_confirm() asks the kernel */
    SIDE_NAGLE = 1 << 8,    /* TCP_NODELAY must be set before a second write */
    SIDE_KTLS = 1 << 9,     /* TLS, which is in the kernel: tls->kernel has the rest */
    SIDE_TLS = 1 << 10,     /* TLS in user space: tls->stream */
    SIDE_MOVED = 1 << 11,   /* bytes of TLS have come or gone that no flow counts */
};

struct tls_side;

struct side {
    struct watch watch;
    struct tls_side *tls; /* NULL: no TLS */
    int fd;               /* -1: not open */
    uint16_t ready;       /* enum side_ready */
};

void side_init(struct side *sd);

/* TLS is in the kernel from now on. A short read does not mean that the socket is empty then: a
 * read ends with the record. */
void side_set_ktls(struct side *sd);

/* Takes ownership of fd and watches it. Returns 0; or -errno, and the caller still owns fd. */
int side_open(struct side *sd, int fd, bool tcp, struct event_set *set,
              void (*on_event)(struct watch *watch, uint32_t events));

/* Sets the readiness by an event. */
void side_note(struct side *sd, uint32_t events);

/* Closes the socket. May be called twice. */
void side_close(struct side *sd);

/* Close both sides of a session, with FIN or with a reset. */
void side_close_both(struct side *a, struct side *b);
void side_reset_both(struct side *a, struct side *b);

static inline bool side_is(const struct side *sd, enum side_ready bit)
{
    return (sd->ready & bit) != 0;
}

static inline void side_set(struct side *sd, unsigned bits)
{
    sd->ready |= (uint16_t)bits;
}

static inline void side_clear(struct side *sd, unsigned bits)
{
    sd->ready &= (uint16_t)~bits;
}

/* Whether a short read means that the socket is empty. Not if a FIN or an urgent mark may follow
 * what was read, since there is no further event for it. */
static inline bool side_short_is_empty(const struct side *sd)
{
    return (sd->ready & (SIDE_TCP | SIDE_ENDED | SIDE_URGENT)) == SIDE_TCP;
}

#endif
