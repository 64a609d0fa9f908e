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
#ifndef ZPROXY_RELAY_SYSCALL_H
#define ZPROXY_RELAY_SYSCALL_H

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

static inline long sys_call(long number, long a, long b, long c, long d, long e, long f)
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

#define SYS_CALL6(name, a, b, c, d, e, f) \
    sys_call(SYS_##name, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define SYS_CALL5(name, a, b, c, d, e) SYS_CALL6(name, a, b, c, d, e, 0)
#define SYS_CALL4(name, a, b, c, d)    SYS_CALL6(name, a, b, c, d, 0, 0)
#define SYS_CALL3(name, a, b, c)       SYS_CALL6(name, a, b, c, 0, 0, 0)
#define SYS_CALL2(name, a, b)          SYS_CALL6(name, a, b, 0, 0, 0, 0)

#else

static inline long sys_result(long result)
{
    return result == -1 ? -errno : result;
}

#define SYS_CALL6(name, a, b, c, d, e, f) sys_result(name(a, b, c, d, e, f))
#define SYS_CALL5(name, a, b, c, d, e)    sys_result(name(a, b, c, d, e))
#define SYS_CALL4(name, a, b, c, d)       sys_result(name(a, b, c, d))
#define SYS_CALL3(name, a, b, c)          sys_result(name(a, b, c))
#define SYS_CALL2(name, a, b)             sys_result(name(a, b))

#endif

/* SPLICE_F_NONBLOCK is about the pipe alone: the socket has to be non-blocking as well. */
static inline ssize_t sys_splice(int from, int to, size_t len)
{
    return SYS_CALL6(splice, from, NULL, to, NULL, len, SPLICE_F_NONBLOCK);
}

static inline int sys_epoll_wait(int set, struct epoll_event *events, int room, int timeout)
{
    return (int)SYS_CALL4(epoll_wait, set, events, room, timeout);
}

static inline int sys_epoll_ctl(int set, int op, int fd, struct epoll_event *event)
{
    return (int)SYS_CALL4(epoll_ctl, set, op, fd, event);
}

static inline int sys_accept(int fd, struct sockaddr *from, socklen_t *len)
{
    return (int)SYS_CALL4(accept4, fd, from, len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

static inline int sys_socket(int family)
{
    return (int)SYS_CALL3(socket, family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static inline int sys_connect(int fd, const struct sockaddr *to, socklen_t len)
{
    return (int)SYS_CALL3(connect, fd, to, len);
}

static inline int sys_setsockopt(int fd, int level, int name, int value)
{
    return (int)SYS_CALL5(setsockopt, fd, level, name, &value, sizeof value);
}

static inline int sys_shutdown(int fd, int how)
{
    return (int)SYS_CALL2(shutdown, fd, how);
}

static inline int sys_close_range(int first, int last)
{
    return (int)SYS_CALL3(close_range, (unsigned)first, (unsigned)last, 0);
}

#endif
