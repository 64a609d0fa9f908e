#include "relay/self_connect.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "relay/sock.h"

#define RANGE_FILE "/proc/sys/net/ipv4/ip_local_port_range" /* of IPv6 as well */
#define RANGE_ALL  (UINT32_C(1024) << 16 | UINT16_MAX)

/* Both ports in one word: a reader on any thread gets a pair that belongs together. All operations
 * are relaxed, since neither value orders other memory. */
static _Atomic uint32_t port_range = RANGE_ALL;
static _Atomic int64_t read_at = -1; /* s */

/* In a chroot the file is missing: the range that was read before stays valid. */
static void self_connect_read_range(void)
{
    char text[32] = "";
    unsigned low = 0;
    unsigned high = 0;
    int fd = open(RANGE_FILE, O_RDONLY | O_CLOEXEC);
    if (fd == -1)
        return;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n > 0 && sscanf(text, "%u %u", &low, &high) == 2 && low <= high && high <= UINT16_MAX)
        atomic_store_explicit(&port_range, (uint32_t)low << 16 | high, memory_order_relaxed);
}

static void refresh_range(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    int64_t last = atomic_load_explicit(&read_at, memory_order_relaxed);
    if (last != t.tv_sec &&
        atomic_compare_exchange_strong_explicit(&read_at, &last, t.tv_sec, memory_order_relaxed,
                                                memory_order_relaxed))
        self_connect_read_range();
}

bool self_connect_has_port(const struct addr *to)
{
    if (to->sa.sa_family != AF_INET && to->sa.sa_family != AF_INET6)
        return false;
    refresh_range();
    uint32_t range = atomic_load_explicit(&port_range, memory_order_relaxed);
    uint16_t port = addr_port(to);
    return port == 0 || (port >= range >> 16 && port <= (range & UINT16_MAX));
}

bool self_connect_is_possible(const struct addr *to)
{
    struct addr any_port = *to;
    if (!self_connect_has_port(to))
        return false;
    addr_set_port(&any_port, 0);
    int fd = sock_open(to->sa.sa_family);
    if (fd < 0)
        return true; /* unknown: the caller checks the connection */
    bool ours = bind(fd, &any_port.sa, any_port.len) == 0;
    close(fd);
    return ours;
}

/* sin6_flowinfo may differ. */
static bool self_connect_is_same(const struct sockaddr_storage *a, const struct sockaddr_storage *b)
{
    struct sockaddr_in a4;
    struct sockaddr_in b4;
    struct sockaddr_in6 a6;
    struct sockaddr_in6 b6;
    memcpy(&a4, a, sizeof a4);
    memcpy(&b4, b, sizeof b4);
    memcpy(&a6, a, sizeof a6);
    memcpy(&b6, b, sizeof b6);
    if (a->ss_family != b->ss_family || a4.sin_port != b4.sin_port) /* sin6_port is there as well */
        return false;
    if (a->ss_family == AF_INET6)
        return memcmp(&a6.sin6_addr, &b6.sin6_addr, sizeof a6.sin6_addr) == 0 &&
               a6.sin6_scope_id == b6.sin6_scope_id;
    return a->ss_family == AF_INET && a4.sin_addr.s_addr == b4.sin_addr.s_addr;
}

bool self_connect_happened(int fd)
{
    struct sockaddr_storage own = { .ss_family = AF_UNSPEC };
    struct sockaddr_storage peer = { .ss_family = AF_UNSPEC };
    socklen_t own_len = sizeof own;
    socklen_t peer_len = sizeof peer;
    return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           self_connect_is_same(&own, &peer);
}
