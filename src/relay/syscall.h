/* splice(2) and epoll_wait(2), called without the C library.
 *
 * These two are called for every message. In the C library both are cancellation points, which in
 * a program with threads adds two locked instructions to each call (workers are never cancelled),
 * and both are reached by an indirect jump, which is slow where the kernel clears the branch
 * predictor. Together that is a twentieth of the cost of a 64-byte exchange.
 *
 * All other system calls are rare enough to go through the C library, where sanitizers and the
 * fault injection of the tests (tests/faults.c) can see them. On other processors than x86-64, and
 * under sanitizers and the clang analyzer, these two go through the C library as well.
 *
 * Both return -errno on failure. Neither is repeated after EINTR.
 */
#ifndef ZPROXY_RELAY_SYSCALL_H
#define ZPROXY_RELAY_SYSCALL_H

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/types.h>

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

/* Both ends must be non-blocking: SPLICE_F_NONBLOCK applies to the pipe only. */
static inline ssize_t sys_splice(int from, int to, size_t len)
{
    return sys_call(SYS_splice, from, 0, to, 0, (long)len, SPLICE_F_NONBLOCK);
}

static inline int sys_epoll_wait(int set, struct epoll_event *events, int room, int timeout)
{
    return (int)sys_call(SYS_epoll_wait, set, (long)events, room, timeout, 0, 0);
}

#else

static inline ssize_t sys_splice(int from, int to, size_t len)
{
    ssize_t n = splice(from, NULL, to, NULL, len, SPLICE_F_NONBLOCK);
    return n == -1 ? -errno : n;
}

static inline int sys_epoll_wait(int set, struct epoll_event *events, int room, int timeout)
{
    int count = epoll_wait(set, events, room, timeout);
    return count == -1 ? -errno : count;
}

#endif

#endif
