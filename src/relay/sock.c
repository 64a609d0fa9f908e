#include "relay/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int sock_open(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    return fd == -1 ? -errno : fd;
}

static int sock_set_option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof value) == -1 ? -errno : 0;
}

static int set_if_nonzero(int fd, int level, int name, int value)
{
    return value == 0 ? 0 : sock_set_option(fd, level, name, value);
}

/* An IPv6 socket may have IPv4 clients or an IPv4-mapped server, whose packets have IP_TOS. */
static int set_dscp(int fd, const struct addr *a, unsigned dscp)
{
    int tos = (int)(dscp << 2); /* the lower two bits are ECN's, which the kernel keeps */
    int rc = sock_set_option(fd, IPPROTO_IP, IP_TOS, tos);
    if (rc == 0 && a->sa.sa_family == AF_INET6)
        rc = sock_set_option(fd, IPPROTO_IPV6, IPV6_TCLASS, tos);
    return rc;
}

static int set_congestion(int fd, const char *name)
{
    int rc = setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, (socklen_t)strlen(name));
    return rc == -1 ? -errno : 0;
}

/* Call before connect(2) and listen(2): the first packets are sent with these options as well. */
static int set_traffic_options(int fd, const struct addr *a, const struct sock_options *o)
{
    int rc = o->congestion == NULL ? 0 : set_congestion(fd, o->congestion);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, o->notsent_lowat);
    if (rc == 0 && o->dscp != 0)
        rc = set_dscp(fd, a, o->dscp);
    return rc;
}

static int set_tcp_options(int fd, const struct sock_options *o)
{
    int rc = 0;
    if (o->keepalive)
        rc = sock_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPIDLE, o->keepalive_time);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPINTVL, o->keepalive_interval);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPCNT, o->keepalive_count);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, o->user_timeout);
    if (rc == 0 && o->delay_ack)
        rc = sock_set_option(fd, IPPROTO_TCP, TCP_QUICKACK, 0);
    return rc;
}

/* For listening and connecting sockets. Buffers must be set before connect(2) and listen(2),
 * because they determine the window scale. */
static int set_options(int fd, const struct addr *a, const struct sock_options *o)
{
    int rc = set_if_nonzero(fd, SOL_SOCKET, SO_RCVBUF, o->receive_buffer);
    if (rc == 0)
        rc = set_if_nonzero(fd, SOL_SOCKET, SO_SNDBUF, o->send_buffer);
    if (rc == 0 && !addr_is_unix(a))
        rc = set_tcp_options(fd, o);
    if (rc == 0 && !addr_is_unix(a))
        rc = set_traffic_options(fd, a, o);
    return rc;
}

/* Where the socket may be bound. The device comes first: without CAP_NET_RAW it cannot be changed
 * once it is set. */
static int set_bind_options(int fd, const struct addr *at, const struct sock_options *o)
{
    int rc = 0;
    if (at->sa.sa_family == AF_INET6)
        rc = sock_set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY, !at->dual_stack);
    if (rc == 0 && o != NULL && o->device != NULL &&
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, o->device, (socklen_t)strlen(o->device)) == -1)
        rc = -errno;
    if (rc == 0 && o != NULL && o->freebind)
        rc = at->sa.sa_family == AF_INET6 ? sock_set_option(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
                                          : sock_set_option(fd, IPPROTO_IP, IP_FREEBIND, 1);
    return rc;
}

static int set_listen_options(int fd, const struct addr *a, const struct sock_options *o)
{
    if (addr_is_unix(a))
        return 0;
    int rc = sock_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0)
        rc = sock_set_option(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (rc == 0 && o->nodelay)
        rc = sock_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (rc == 0)
        rc = set_bind_options(fd, a, o);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_FASTOPEN, o->fastopen);
    if (rc == 0)
        rc = set_if_nonzero(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, o->defer_accept);
    return rc;
}

/* "*" on a kernel without IPv6 is all of IPv4. */
static struct addr without_ipv6(const struct addr *at)
{
    struct addr v4 = { .len = sizeof v4.in };
    v4.in.sin_family = AF_INET;
    v4.in.sin_port = at->in6.sin6_port;
    return v4;
}

int sock_probe(const struct addr *at, const struct sock_options *options)
{
    if (addr_is_unix(at))
        return unix_socket_probe(at);
    int fd = sock_open(at->sa.sa_family);
    if (fd == -EAFNOSUPPORT && at->dual_stack) {
        struct addr v4 = without_ipv6(at);
        return sock_probe(&v4, options);
    }
    if (fd < 0)
        return fd;
    int rc = sock_set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (rc == 0)
        rc = set_bind_options(fd, at, options);
    if (rc == 0 && bind(fd, &at->sa, at->len) == -1)
        rc = -errno;
    close(fd);
    return rc;
}

bool sock_address_is_missing(const struct addr *at)
{
    struct addr any_port = *at;
    if (addr_is_unix(at))
        return false;
    addr_set_port(&any_port, 0);
    return sock_probe(&any_port, NULL) == -EADDRNOTAVAIL;
}

static int bind_to(int fd, const struct addr *at, const struct sock_options *o,
                   struct file_id *file)
{
    if (addr_is_unix(at))
        return unix_socket_bind(fd, at, o->mode, o->owner, file);
    return bind(fd, &at->sa, at->len) == -1 ? -errno : 0;
}

int sock_bind(const struct addr *at, const struct sock_options *options, struct file_id *file)
{
    int fd = sock_open(at->sa.sa_family);
    if (fd == -EAFNOSUPPORT && at->dual_stack) {
        struct addr v4 = without_ipv6(at);
        return sock_bind(&v4, options, file);
    }
    if (fd < 0)
        return fd;
    int rc = set_options(fd, at, options);
    if (rc == 0)
        rc = set_listen_options(fd, at, options);
    if (rc == 0)
        rc = bind_to(fd, at, options, file);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

void sock_device(int fd, char device[IFNAMSIZ])
{
    socklen_t length = IFNAMSIZ;
    memset(device, 0, IFNAMSIZ);
    if (getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, device, &length) == -1)
        device[0] = '\0';
}

const char *sock_bind_strerror(int rc)
{
    if (rc == -EINVAL) /* bind(2) means the address; safe_open_strerror() would mean a file */
        return "cannot be bound to; a link-local address needs its zone, as in [fe80::1%eth0]:80";
    return safe_open_strerror(rc);
}

static void get_congestion(int fd, char name[SOCK_CONGESTION_MAX])
{
    socklen_t length = SOCK_CONGESTION_MAX;
    memset(name, 0, SOCK_CONGESTION_MAX);
    if (getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) == -1)
        name[0] = '\0';
    name[SOCK_CONGESTION_MAX - 1] = '\0';
}

static int get_tcp_number(int fd, int name)
{
    int value = 0;
    socklen_t length = sizeof value;
    return getsockopt(fd, IPPROTO_TCP, name, &value, &length) == -1 ? 0 : value;
}

void sock_get_defaults(struct sock_defaults *d)
{
    int fd = sock_open(AF_INET);
    if (fd == -EAFNOSUPPORT)
        fd = sock_open(AF_INET6);
    memset(d, 0, sizeof *d);
    if (fd < 0)
        return;
    get_congestion(fd, d->congestion);
    d->keepalive_time = get_tcp_number(fd, TCP_KEEPIDLE);
    d->keepalive_interval = get_tcp_number(fd, TCP_KEEPINTVL);
    d->keepalive_count = get_tcp_number(fd, TCP_KEEPCNT);
    close(fd);
}

static void reset_keepalive(int fd, const struct sock_options *o, const struct sock_defaults *d)
{
    if (o->keepalive_time == 0)
        (void)set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPIDLE, d->keepalive_time);
    if (o->keepalive_interval == 0)
        (void)set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPINTVL, d->keepalive_interval);
    if (o->keepalive_count == 0)
        (void)set_if_nonzero(fd, IPPROTO_TCP, TCP_KEEPCNT, d->keepalive_count);
}

/* Options at their defaults again. A socket whose algorithm was never set follows later changes of
 * net.ipv4.tcp_congestion_control, so that of others is not set. */
static void reset_traffic_options(int fd, const struct addr *at, const struct sock_options *o,
                                  const char *congestion)
{
    char current[SOCK_CONGESTION_MAX];
    if (o->dscp == 0)
        (void)set_dscp(fd, at, 0);
    if (o->notsent_lowat == 0)
        (void)sock_set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, 0);
    if (o->congestion != NULL || congestion[0] == '\0')
        return;
    get_congestion(fd, current);
    if (strcmp(current, congestion) != 0)
        (void)set_congestion(fd, congestion);
}

void sock_relisten(int fd, const struct addr *at, const struct sock_options *options,
                   const struct sock_defaults *defaults)
{
    if (!addr_is_unix(at)) {
        (void)sock_set_option(fd, IPPROTO_TCP, TCP_NODELAY, options->nodelay);
        (void)sock_set_option(fd, SOL_SOCKET, SO_KEEPALIVE, options->keepalive);
        (void)sock_set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, options->user_timeout);
        (void)sock_set_option(fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, options->defer_accept);
    }
    (void)set_options(fd, at, options);
    if (!addr_is_unix(at)) {
        (void)sock_set_option(fd, IPPROTO_TCP, TCP_FASTOPEN, options->fastopen);
        reset_keepalive(fd, options, defaults);
        reset_traffic_options(fd, at, options, defaults->congestion);
    }
    (void)listen(fd, options->backlog); /* listen(2) again only changes the backlog */
}

/* With the port left open until connect(2), the same one may serve connections to several servers
 * (ip(7), IP_BIND_ADDRESS_NO_PORT). */
static int bind_source(int fd, const struct addr *to, const struct sock_source *source)
{
    int rc = 0;
    if (source == NULL || source->addr.len == 0 || source->addr.sa.sa_family != to->sa.sa_family ||
        addr_is_unix(to))
        return 0;
    bool ip6 = to->sa.sa_family == AF_INET6;
    if (source->transparent)
        rc = ip6 ? sock_set_option(fd, IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
                 : sock_set_option(fd, IPPROTO_IP, IP_TRANSPARENT, 1);
    if (rc == 0)
        rc = sock_set_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (rc == 0 && bind(fd, &source->addr.sa, source->addr.len) == -1)
        rc = -errno;
    return rc;
}

int sock_connect(const struct addr *to, const struct sock_options *options,
                 const struct sock_source *source)
{
    int fd = sock_open(to->sa.sa_family);
    if (fd < 0)
        return fd;
    int rc = set_options(fd, to, options);
    if (rc == 0)
        rc = bind_source(fd, to, source);
    if (rc == 0 && connect(fd, &to->sa, to->len) == -1 && errno != EINPROGRESS)
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    return fd;
}

int sock_accept(int fd, struct addr_peer *client)
{
    struct sockaddr_storage from;
    socklen_t len = sizeof from;
    int accepted = accept4(fd, (struct sockaddr *)&from, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (accepted == -1)
        return -errno;
    addr_peer_set(client, (const struct sockaddr *)&from, len);
    return accepted;
}

bool sock_error_is_local(const struct addr *to, int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC:        /* epoll_ctl(2): fs.epoll.max_user_watches */
    case EADDRNOTAVAIL: /* ip(7): no local port is left; or the source is no address of ours */
    case EADDRINUSE:
    case EAFNOSUPPORT: /* no IPv6 on this machine */
    case EIO:
        return true;
    case EAGAIN: /* connect(2): of a unix socket it is the server's queue that is full */
    case EPERM:  /* of a unix socket these are the server's file and directories */
    case EACCES:
        return !addr_is_unix(to);
    default:
        return false;
    }
}

int sock_error(int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
        return errno;
    return error;
}

void sock_abort(int fd)
{
    const struct sockaddr none = { .sa_family = AF_UNSPEC };
    if (connect(fd, &none, sizeof none) == -1) /* refused where TLS is in the kernel, see tls.rst */
        (void)shutdown(fd, SHUT_RDWR);         /* FIN without close_notify: the peer sees the cut */
}

void sock_reset_on_close(int fd)
{
    const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
    /* fails only for sockets without SO_LINGER: then close(2) suffices */
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void sock_reset(int fd)
{
    sock_reset_on_close(fd);
    close(fd);
}

void sock_set_send_buffer(int fd, int size)
{
    (void)sock_set_option(fd, SOL_SOCKET, SO_SNDBUF, size); /* the kernel limits it itself */
}

void sock_set_nodelay(int fd)
{
    (void)sock_set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* does not fail on a TCP socket */
}
