/* The system calls that every message or session takes, made without the C library.
 *
 * There each of them is reached by an indirect jump, which the processor cannot foresee where the
 * kernel has it forget what it had learned, and what may be a cancellation point has two locked
 * instructions around it in a program with threads (nobody cancels a worker): a twentieth of the
 * cost of an exchange of 64 bytes. Elsewhere than on x86-64, and where somebody watches the
 * library's calls (sanitizers, clang's analyzer), the library is called.
 *
 * All return what the kernel does: -errno for an error. None is repeated after EINTR.
 */
#ifndef ZPROXY_RELAY_KERNEL_H
#define ZPROXY_RELAY_KERNEL_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if defined __x86_64__ && !defined __SANITIZE_ADDRESS__ && !defined __SANITIZE_THREAD__ && \
    !defined __clang_analyzer__

static inline long kernel_call(long number, long a, long b, long c, long d, long e, long f)
{
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    long result;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
}

#define KERNEL_CALL6(name, a, b, c, d, e, f) \
    kernel_call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define KERNEL_CALL5(name, a, b, c, d, e) KERNEL_CALL6(name, a, b, c, d, e, 0)
#define KERNEL_CALL4(name, a, b, c, d)    KERNEL_CALL6(name, a, b, c, d, 0, 0)
#define KERNEL_CALL3(name, a, b, c)       KERNEL_CALL6(name, a, b, c, 0, 0, 0)
#define KERNEL_CALL2(name, a, b)          KERNEL_CALL6(name, a, b, 0, 0, 0, 0)

#else

static inline long kernel_result(long result)
{
    return result == -1 ? -errno : result;
}

#define KERNEL_CALL6(name, a, b, c, d, e, f) kernel_result(name(a, b, c, d, e, f))
#define KERNEL_CALL5(name, a, b, c, d, e)    kernel_result(name(a, b, c, d, e))
#define KERNEL_CALL4(name, a, b, c, d)       kernel_result(name(a, b, c, d))
#define KERNEL_CALL3(name, a, b, c)          kernel_result(name(a, b, c))
#define KERNEL_CALL2(name, a, b)             kernel_result(name(a, b))

#endif

/* SPLICE_F_NONBLOCK is about the pipe alone: the socket has to be non-blocking as well. */
static inline ssize_t kernel_splice(int from, int to, size_t len)
{
    return KERNEL_CALL6(splice, from, NULL, to, NULL, len, SPLICE_F_NONBLOCK);
}

static inline int kernel_epoll_wait(int set, struct epoll_event *events, int room, int timeout)
{
    return (int)KERNEL_CALL4(epoll_wait, set, events, room, timeout);
}

static inline int kernel_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    return (int)KERNEL_CALL4(epoll_ctl, set, op, fd, event);
}

static inline int kernel_accept(int fd, struct sockaddr *from, socklen_t *len)
{
    return (int)KERNEL_CALL4(accept4, fd, from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline int kernel_socket(int family)
{
    return (int)KERNEL_CALL3(socket, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int kernel_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    return (int)KERNEL_CALL3(connect, fd, to, len);
}

static inline int kernel_set_option(int fd, int level, int name, int value)
{
    return (int)KERNEL_CALL5(setsockopt, fd, level, name, &value, sizeof value);
}

static inline int kernel_shutdown(int fd, int how)
{
    return (int)KERNEL_CALL2(shutdown, fd, how);
}

static inline int kernel_close_range(int first, int last)
{
    return (int)KERNEL_CALL3(close_range, (unsigned)first, (unsigned)last, 0);
}

#endif
