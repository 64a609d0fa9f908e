/* One socket of a session: its descriptor and what is known of it.
 *
 * A socket is added to the event set once, edge-triggered, for everything: readiness is remembered
 * here until the kernel says EAGAIN, so that a blocked peer costs no epoll_ctl(2) and a stalled
 * session cannot spin, not even on EPOLLHUP, which cannot be masked.
 */
#ifndef ZPROXY_RELAY_SIDE_H
#define ZPROXY_RELAY_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/event_set.h"

enum side_ready {
    SIDE_READABLE = 1 << 0, /* a read may bring something */
    SIDE_WRITABLE = 1 << 1, /* a write may go through */
    SIDE_ENDED = 1 << 2,    /* the peer has sent FIN; bytes may still be unread */
    SIDE_URGENT = 1 << 3,   /* an urgent mark has not been passed yet */
    SIDE_FAILED = 1 << 4,   /* an error is pending: sock_error() tells */
    SIDE_TCP = 1 << 5,      /* a read shorter than asked for means empty */
    SIDE_GUESSED = 1 << 6,  /* taken for empty without proof: see flow_confirm() */
    SIDE_DOUBTED = 1 << 7,  /* for so long that it is time to ask */
    SIDE_NAGLE = 1 << 8,    /* TCP_NODELAY is to be set before a second write */
};

struct side {
    struct watch watch;
    int fd;         /* -1: not open */
    uint16_t ready; /* enum side_ready */
};

void side_init(struct side *sd);

/* Takes the descriptor over and watches it. Returns 0, or -errno and fd stays the caller's. */
int side_open(struct side *sd, int fd, bool tcp, struct event_set *set,
              void (*on_event)(struct watch *watch, uint32_t events));

/* Remembers what an event said. */
void side_note(struct side *sd, uint32_t events);

/* Closes; may be called twice. */
void side_close(struct side *sd);

/* Closes both sides of a session, in order or with a reset. */
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

/* Whether a short read has emptied the socket: not when FIN or an urgent mark still stand behind
 * what was read, since no further edge will tell of them. */
static inline bool side_short_is_empty(const struct side *sd)
{
    return (sd->ready & (SIDE_TCP | SIDE_ENDED | SIDE_URGENT)) == SIDE_TCP;
}

#endif
