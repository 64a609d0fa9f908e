/* Calls that fail when a test says so: linked into a zproxy of its own (zproxy_faults), whose calls
 * of these names come here first (ld(1), --wrap). What ZPROXY_FAULTS names is a file of struct
 * faults that the test has mapped as well: left counts down with each call, and the one that finds
 * 0 fails, as do all later ones while persist is set.
 *
 * Calls of the libraries themselves are not seen, but for c-ares's use of memory: libuv ends the
 * process where it has none for its own tables.
 */
#if __has_include(<ares_version.h>)
#include <ares_version.h>
#endif
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* The names are those of ld(1): --wrap, __executable_start.
 * NOLINTBEGIN(bugprone-reserved-identifier) */

struct faults {
    _Atomic int64_t left; /* below 0: none fails */
    _Atomic uint64_t persist;
    _Atomic uint64_t calls;
    _Atomic uint64_t failed;
    uint64_t caller; /* of the last one that failed, from the begin of the program */
    char name[40];
};

extern const char __executable_start[];

static struct faults *faults;

static bool is_to_fail(void)
{
    if (faults == NULL)
        return false;
    atomic_fetch_add(&faults->calls, 1);
    if (atomic_load(&faults->left) < 0)
        return false;
    int64_t left = atomic_fetch_sub(&faults->left, 1);
    if (left > 0 || (left < 0 && !atomic_load(&faults->persist)))
        return false;
    if (atomic_load(&faults->persist))
        atomic_store(&faults->left, 0);
    return true;
}

static bool fails(const char *name, const void *caller, int error)
{
    if (!is_to_fail())
        return false;
    snprintf(faults->name, sizeof faults->name, "%s", name);
    faults->caller = (uint64_t)((const char *)caller - __executable_start);
    atomic_fetch_add(&faults->failed, 1);
    errno = error;
    return true;
}

#define FAILS(name, error) fails(name, __builtin_return_address(0), error)

/* A call that returns failed, with errno. */
#define WRAP(type, name, failed, error, parameters, ...)                    \
    type __real_##name parameters;                                          \
    type __wrap_##name parameters;                                          \
    type __wrap_##name parameters                                           \
    {                                                                       \
        return FAILS(#name, error) ? (failed) : __real_##name(__VA_ARGS__); \
    }

WRAP(void *, malloc, NULL, ENOMEM, (size_t size), size)
WRAP(void *, calloc, NULL, ENOMEM, (size_t count, size_t size), count, size)
WRAP(void *, realloc, NULL, ENOMEM, (void *old, size_t size), old, size)
WRAP(char *, strdup, NULL, ENOMEM, (const char *text), text)
WRAP(char *, strndup, NULL, ENOMEM, (const char *text, size_t size), text, size)
WRAP(FILE *, open_memstream, NULL, ENOMEM, (char **text, size_t *size), text, size)
WRAP(FILE *, fopen, NULL, EMFILE, (const char *path, const char *mode), path, mode)
WRAP(FILE *, fdopen, NULL, ENOMEM, (int fd, const char *mode), fd, mode)
WRAP(int, socket, -1, EMFILE, (int family, int type, int protocol), family, type, protocol)
WRAP(int, socketpair, -1, EMFILE, (int family, int type, int protocol, int pair[2]), family, type,
     protocol, pair)
WRAP(int, accept4, -1, EMFILE, (int fd, struct sockaddr *from, socklen_t *len, int flags), fd, from,
     len, flags)
WRAP(int, bind, -1, ENOBUFS, (int fd, const struct sockaddr *at, socklen_t len), fd, at, len)
WRAP(int, listen, -1, EADDRINUSE, (int fd, int backlog), fd, backlog)
WRAP(int, connect, -1, ENOBUFS, (int fd, const struct sockaddr *to, socklen_t len), fd, to, len)
WRAP(int, setsockopt, -1, ENOBUFS, (int fd, int level, int name, const void *value, socklen_t len),
     fd, level, name, value, len)
WRAP(int, epoll_create1, -1, EMFILE, (int flags), flags)
WRAP(int, pipe2, -1, EMFILE, (int ends[2], int flags), ends, flags)
WRAP(int, dup3, -1, EMFILE, (int from, int to, int flags), from, to, flags)
WRAP(ssize_t, sendmsg, -1, ENOBUFS, (int fd, const struct msghdr *message, int flags), fd, message,
     flags)
WRAP(int, pthread_create, EAGAIN, EAGAIN,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg),
     thread, attributes, run, arg)
WRAP(int, uv_loop_init, UV_EMFILE, EMFILE, (uv_loop_t * loop), loop)
WRAP(int, uv_async_init, UV_EMFILE, EMFILE, (uv_loop_t * loop, uv_async_t *async, uv_async_cb cb),
     loop, async, cb)
WRAP(int, uv_signal_init, UV_EMFILE, EMFILE, (uv_loop_t * loop, uv_signal_t *handle), loop, handle)
WRAP(int, uv_signal_start, UV_EINVAL, EINVAL, (uv_signal_t * handle, uv_signal_cb cb, int number),
     handle, cb, number)
WRAP(int, uv_poll_init, UV_ENOSPC, ENOSPC, (uv_loop_t * loop, uv_poll_t *handle, int fd), loop,
     handle, fd)
WRAP(int, uv_pipe_open, UV_EINVAL, EINVAL, (uv_pipe_t * handle, uv_file fd), handle, fd)
WRAP(int, uv_listen, UV_EADDRINUSE, EADDRINUSE,
     (uv_stream_t * stream, int backlog, uv_connection_cb cb), stream, backlog, cb)
WRAP(int, uv_write, UV_ENOMEM, ENOMEM,
     (uv_write_t * write, uv_stream_t *stream, const uv_buf_t bufs[], unsigned count,
      uv_write_cb cb),
     write, stream, bufs, count, cb)
int __attribute__((weak))
ares_library_init_mem(int flags, void *(*allocate)(size_t), void (*release)(void *),
                      void *(*resize)(void *, size_t));
int __wrap_ares_library_init(int flags);

/* c-ares of Debian 12 survives each failure. 1.34, of Debian 13, does not: when one query could not
 * get memory, another one keeps a pointer to a connection that was freed, and its timeout reads it.
 */
#if defined ARES_VERSION && ARES_VERSION < 0x011300
#define CARES_SURVIVES true
#else
#define CARES_SURVIVES false
#endif

int __wrap_ares_library_init(int flags)
{
    return CARES_SURVIVES ? ares_library_init_mem(flags, __wrap_malloc, free, __wrap_realloc)
                          : ares_library_init_mem(flags, __real_malloc, free, __real_realloc);
}

int __real_epoll_ctl(int set, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int set, int op, int fd, struct epoll_event *event);

int __wrap_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    if (op == EPOLL_CTL_ADD && FAILS("epoll_ctl", ENOSPC))
        return -1;
    return __real_epoll_ctl(set, op, fd, event);
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return FAILS("open", EMFILE) ? -1 : __real_open(path, flags, mode);
}

int __real_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...);
int __wrap_openat(int at, const char *path, int flags, ...)
{
    va_list more;
    va_start(more, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    return FAILS("openat", EMFILE) ? -1 : __real_openat(at, path, flags, mode);
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list more;
    va_start(more, command);
    void *value = va_arg(more, void *);
    va_end(more);
    if (command == F_DUPFD_CLOEXEC && FAILS("fcntl", EMFILE))
        return -1;
    return __real_fcntl(fd, command, value);
}

static void __attribute__((constructor)) begin(void)
{
    const char *path = getenv("ZPROXY_FAULTS");
    int fd = path == NULL ? -1 : __real_open(path, O_RDWR | O_CLOEXEC);
    if (fd == -1)
        return;
    void *mapped = mmap(NULL, sizeof *faults, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (mapped != MAP_FAILED)
        faults = mapped;
}

/* NOLINTEND(bugprone-reserved-identifier) */
