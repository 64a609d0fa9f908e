#include "base/loop_watch.h"

#include <errno.h>
#include <sys/epoll.h>

int loop_watch_check(const uv_loop_t *loop, int fd)
{
    struct epoll_event ev = { .events = EPOLLIN };
    int set = uv_backend_fd(loop);
    if (epoll_ctl(set, EPOLL_CTL_ADD, fd, &ev) == -1)
        return errno == EEXIST ? 0 : -errno;
    (void)epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
    return 0;
}

/* When the loop runs, libuv adds the descriptor itself; on EEXIST it changes the entry instead.
 * Until then events come from this entry, so its data is what libuv would store. */
int loop_watch_start(uv_poll_t *poll, uv_poll_cb on_event)
{
    uv_os_fd_t fd = -1;
    int rc = uv_fileno((const uv_handle_t *)poll, &fd);
    if (rc == 0)
        rc = uv_poll_start(poll, UV_READABLE, on_event);
    if (rc < 0)
        return rc;
    struct epoll_event ev = { .events = EPOLLIN, .data.fd = fd };
    if (epoll_ctl(uv_backend_fd(poll->loop), EPOLL_CTL_ADD, fd, &ev) == 0 || errno == EEXIST)
        return 0;
    rc = -errno;
    uv_poll_stop(poll);
    return rc;
}
