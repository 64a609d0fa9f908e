/* Adds descriptors to a libuv loop where the kernel may refuse to watch them: ENOMEM, or ENOSPC
 * beyond fs.epoll.max_user_watches. libuv adds a descriptor to its epoll set only when the loop
 * runs, and aborts the process when that fails.
 */
#ifndef ZPROXY_BASE_LOOP_WATCH_H
#define ZPROXY_BASE_LOOP_WATCH_H

#include <uv.h>

/* Whether the loop can watch one more descriptor, fd. Returns 0 or -errno. */
int loop_watch_check(const uv_loop_t *loop, int fd);

/* uv_poll_start() for UV_READABLE, but the descriptor is added to the epoll set at once. On error
 * it returns -errno, and the handle is stopped. */
int loop_watch_start(uv_poll_t *poll, uv_poll_cb on_event);

#endif
