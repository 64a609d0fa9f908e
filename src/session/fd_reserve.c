#include "session/fd_reserve.h"

#include <sys/socket.h>
#include <unistd.h>

/* A socket rather than /dev/null: there may be no /dev after chroot(2). */
bool fd_reserve_fill(struct fd_reserve *r)
{
    if (r->fd == -1)
        r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return r->fd != -1;
}

bool fd_reserve_release(struct fd_reserve *r)
{
    if (r->fd == -1)
        return false;
    close(r->fd);
    r->fd = -1;
    return true;
}
