/* A reserved descriptor for the moment when the process has no other left: a client that was
 * accepted still gets its server socket; then the worker stops accepting. */
#ifndef ZPROXY_SESSION_FD_RESERVE_H
#define ZPROXY_SESSION_FD_RESERVE_H

#include <stdbool.h>

struct fd_reserve {
    int fd; /* -1: spent */
};

/* Opens the reserve if it is spent. Returns whether there is a reserve. */
bool fd_reserve_fill(struct fd_reserve *r);

/* Closes the reserve, so that the next call that needs a descriptor succeeds. Returns false if it
 * was spent already. */
bool fd_reserve_release(struct fd_reserve *r);

#endif
