/* One descriptor kept for the moment when there are none: a client that has been accepted still
 * gets its server socket, and only then accepting stops. */
#ifndef ZPROXY_SESSION_FD_RESERVE_H
#define ZPROXY_SESSION_FD_RESERVE_H

#include <stdbool.h>

struct fd_reserve {
    int fd; /* -1: spent */
};

/* Puts the descriptor by, if it is not there. Returns whether it is. */
bool fd_reserve_fill(struct fd_reserve *r);

/* Gives it up so that the next call that needs one succeeds. Returns false when it was spent. */
bool fd_reserve_release(struct fd_reserve *r);

#endif
