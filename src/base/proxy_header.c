#include "base/proxy_header.h"

#include <string.h>

#include "base/proxy_v1.h"
#include "base/proxy_v2.h"

enum proxy_header_result proxy_header_parse(struct proxy_header *h, const void *bytes, size_t n)
{
    memset(h, 0, sizeof *h);
    if (n == 0)
        return PROXY_HEADER_MORE;
    switch (*(const unsigned char *)bytes) {
    case 'P':
        return proxy_v1_parse(h, bytes, n);
    case '\r':
        return proxy_v2_parse(h, bytes, n);
    default:
        h->why = "no PROXY header";
        return PROXY_HEADER_INVALID;
    }
}

static bool is_ip(const struct addr_peer *p)
{
    return p->sa.sa_family == AF_INET || p->sa.sa_family == AF_INET6;
}

/* The IPv4-mapped IPv6 address; IPv6 is unchanged. */
static struct addr_peer map_in(const struct addr_peer *p)
{
    struct addr_peer in6 = { .in6 = { .sin6_family = AF_INET6, .sin6_port = p->in.sin_port } };
    if (p->sa.sa_family == AF_INET6)
        return *p;
    in6.in6.sin6_addr.s6_addr[10] = 0xff;
    in6.in6.sin6_addr.s6_addr[11] = 0xff;
    memcpy(&in6.in6.sin6_addr.s6_addr[12], &p->in.sin_addr, sizeof p->in.sin_addr);
    return in6;
}

static size_t write_addresses(unsigned char buf[PROXY_HEADER_WRITE_MAX],
                              enum proxy_header_version v, const struct addr_peer *source,
                              const struct addr_peer *destination)
{
    return v == PROXY_HEADER_V1 ? proxy_v1_write(buf, source, destination)
                                : proxy_v2_write(buf, source, destination);
}

size_t proxy_header_add_tls(unsigned char buf[PROXY_HEADER_TLS_MAX], size_t n,
                            const struct proxy_tls *tls)
{
    return proxy_v2_add_tls(buf, n, tls);
}

size_t proxy_header_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], enum proxy_header_version v,
                          const struct addr_peer *client, const struct addr_peer *destination)
{
    struct addr_peer from = *client;
    struct addr_peer to = *destination;
    if (is_ip(&from) && !is_ip(&to)) {
        memset(&to, 0, sizeof to);
        to.sa.sa_family = from.sa.sa_family;
    }
    if (is_ip(&from) && from.sa.sa_family != to.sa.sa_family) {
        from = map_in(&from);
        to = map_in(&to);
    }
    return write_addresses(buf, v, &from, &to);
}

size_t proxy_header_write_local(unsigned char buf[PROXY_HEADER_WRITE_MAX],
                                enum proxy_header_version v, const struct addr_peer *own,
                                const struct addr_peer *server)
{
    return v == PROXY_HEADER_V1 ? proxy_header_write(buf, v, own, server)
                                : proxy_v2_write_local(buf);
}
