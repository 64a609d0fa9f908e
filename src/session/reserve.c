#include "session/reserve.h"

#include <sys/socket.h>
#include <unistd.h>

/* A socket rather than /dev/null: there may be no /dev after chroot(2). */
bool reserve_fill(struct reserve *r)
{
    if (r->fd == -1)
        r->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    return r->fd != -1;
}

bool reserve_spend(struct reserve *r)
{
    if (r->fd == -1)
        return false;
    close(r->fd);
    r->fd = -1;
    return true;
}
