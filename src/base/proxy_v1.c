#include "base/proxy_v1.h"

#include <arpa/inet.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LINE_MAX_BYTES 107 /* with CR LF */
#define GROUPS         8   /* of 16 bits in an IPv6 address */
#define NO_GAP         GROUPS

/* The rest of the line. Each parser below consumes its part from the front. It is done only when it
 * has seen the next byte, since only that byte shows that a number or an address has ended. */
struct line {
    const unsigned char *at;
    const unsigned char *end;
    const char *why;
};

static enum proxy_header_result proxy_v1_invalid(struct line *l, const char *why)
{
    l->why = why;
    return PROXY_HEADER_INVALID;
}

static bool is_digit(unsigned char c)
{
    return c >= '0' && c <= '9';
}

static enum proxy_header_result expect(struct line *l, const char *text, const char *why)
{
    for (; *text != '\0'; text++, l->at++) {
        if (l->at == l->end)
            return PROXY_HEADER_MORE;
        if (*l->at != (unsigned char)*text)
            return proxy_v1_invalid(l, why);
    }
    return PROXY_HEADER_DONE;
}

/* Parses a decimal number without leading zeros. */
static enum proxy_header_result proxy_v1_parse_number(struct line *l, unsigned max,
                                                      unsigned *number, const char *why)
{
    const unsigned char *begin = l->at;
    *number = 0;
    for (; l->at < l->end && is_digit(*l->at); l->at++) {
        if (l->at > begin && *number == 0)
            return proxy_v1_invalid(l, why);
        *number = *number * 10 + (unsigned)(*l->at - '0');
        if (*number > max)
            return proxy_v1_invalid(l, why);
    }
    if (l->at == l->end)
        return PROXY_HEADER_MORE;
    return l->at == begin ? proxy_v1_invalid(l, why) : PROXY_HEADER_DONE;
}

static enum proxy_header_result proxy_v1_parse_in(struct line *l, unsigned char ip[4])
{
    static const char why[] = "not an IPv4 address";
    for (int i = 0; i < 4; i++) {
        unsigned number = 0;
        enum proxy_header_result rc = PROXY_HEADER_DONE;
        if ((i > 0 && (rc = expect(l, ".", why)) != PROXY_HEADER_DONE) ||
            (rc = proxy_v1_parse_number(l, UINT8_MAX, &number, why)) != PROXY_HEADER_DONE)
            return rc;
        ip[i] = (unsigned char)number;
    }
    return PROXY_HEADER_DONE;
}

/* --- IPv6 --- */

static const char not_in6[] = "not an IPv6 address";

struct groups {
    uint16_t value[GROUPS];
    unsigned count;
    unsigned gap; /* the number of groups before "::"; NO_GAP: there is none */
};

/* How many groups may follow. "::" stands for at least one group. */
static unsigned groups_left(const struct groups *g)
{
    return (g->gap == NO_GAP ? GROUPS : GROUPS - 1) - g->count;
}

/* Parses the last two groups, which may be written as an IPv4 address. */
static enum proxy_header_result parse_dotted(struct line *l, struct groups *g)
{
    unsigned char ip[4];
    if (groups_left(g) < 2 || (g->gap == NO_GAP && groups_left(g) > 2))
        return proxy_v1_invalid(l, not_in6);
    enum proxy_header_result rc = proxy_v1_parse_in(l, ip);
    if (rc != PROXY_HEADER_DONE)
        return rc;
    g->value[g->count++] = (uint16_t)(ip[0] << 8 | ip[1]);
    g->value[g->count++] = (uint16_t)(ip[2] << 8 | ip[3]);
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result parse_group(struct line *l, struct groups *g)
{
    const unsigned char *begin = l->at;
    unsigned value = 0;
    for (; l->at < l->end && text_hex_digit((char)*l->at) != -1; l->at++) {
        if (l->at - begin == 4 || groups_left(g) == 0)
            return proxy_v1_invalid(l, not_in6);
        value = value * 16 + (unsigned)text_hex_digit((char)*l->at);
    }
    if (l->at == l->end)
        return PROXY_HEADER_MORE;
    if (l->at == begin)
        return proxy_v1_invalid(l, not_in6);
    if (*l->at == '.') {
        l->at = begin;
        return parse_dotted(l, g);
    }
    g->value[g->count++] = (uint16_t)value;
    return PROXY_HEADER_DONE;
}

/* Parses ":" or "::" after a group. *more: whether another group must follow. */
static enum proxy_header_result parse_separator(struct line *l, struct groups *g, bool *more)
{
    *more = *l->at == ':';
    if (!*more)
        return PROXY_HEADER_DONE;
    if (groups_left(g) == 0)
        return proxy_v1_invalid(l, not_in6);
    if (++l->at == l->end)
        return PROXY_HEADER_MORE;
    if (*l->at != ':')
        return PROXY_HEADER_DONE;
    if (g->gap != NO_GAP)
        return proxy_v1_invalid(l, not_in6);
    g->gap = g->count;
    if (++l->at == l->end)
        return PROXY_HEADER_MORE;
    *more = *l->at != ' ';
    return PROXY_HEADER_DONE;
}

static enum proxy_header_result parse_groups(struct line *l, struct groups *g)
{
    bool more = true;
    enum proxy_header_result rc = PROXY_HEADER_DONE;
    if (l->at == l->end)
        return PROXY_HEADER_MORE;
    if (*l->at == ':') { /* only "::" may begin an address */
        if ((rc = parse_separator(l, g, &more)) != PROXY_HEADER_DONE)
            return rc;
        if (g->gap == NO_GAP)
            return proxy_v1_invalid(l, not_in6);
    }
    while (more)
        if ((rc = parse_group(l, g)) != PROXY_HEADER_DONE ||
            (rc = parse_separator(l, g, &more)) != PROXY_HEADER_DONE)
            return rc;
    return g->gap == NO_GAP && groups_left(g) > 0 ? proxy_v1_invalid(l, not_in6)
                                                  : PROXY_HEADER_DONE;
}

static enum proxy_header_result proxy_v1_parse_in6(struct line *l, struct in6_addr *ip)
{
    struct groups g = { .gap = NO_GAP };
    enum proxy_header_result rc = parse_groups(l, &g);
    memset(ip, 0, sizeof *ip);
    for (unsigned i = 0; rc == PROXY_HEADER_DONE && i < g.count; i++) {
        unsigned to = i < g.gap ? i : GROUPS - g.count + i;
        ip->s6_addr[2 * to] = (unsigned char)(g.value[i] >> 8);
        ip->s6_addr[2 * to + 1] = (unsigned char)g.value[i];
    }
    return rc;
}

/* --- The line --- */

static enum proxy_header_result proxy_v1_parse_address(struct line *l, struct sockaddr_storage *ss)
{
    if (ss->ss_family == AF_INET)
        return proxy_v1_parse_in(l, (unsigned char *)&((struct sockaddr_in *)ss)->sin_addr);
    return proxy_v1_parse_in6(l, &((struct sockaddr_in6 *)ss)->sin6_addr);
}

/* The port has the same offset in sockaddr_in and sockaddr_in6. */
static void set_port(struct sockaddr_storage *ss, unsigned port)
{
    ((struct sockaddr_in *)ss)->sin_port = htons((uint16_t)port);
}

/* Parses what follows "TCP": the family, two addresses, two ports. */
static enum proxy_header_result parse_tcp(struct line *l, struct proxy_header *h)
{
    static const char space[] = "no space where one must be";
    static const char port[] = "not a port";
    struct sockaddr_storage from;
    struct sockaddr_storage to;
    unsigned from_port = 0;
    unsigned to_port = 0;
    enum proxy_header_result rc = PROXY_HEADER_DONE;
    if (l->at == l->end)
        return PROXY_HEADER_MORE;
    if (*l->at != '4' && *l->at != '6')
        return proxy_v1_invalid(l, "neither TCP4 nor TCP6 nor UNKNOWN");
    memset(&from, 0, sizeof from);
    from.ss_family = *l->at++ == '4' ? AF_INET : AF_INET6;
    to = from;
    if ((rc = expect(l, " ", space)) != PROXY_HEADER_DONE ||
        (rc = proxy_v1_parse_address(l, &from)) != PROXY_HEADER_DONE ||
        (rc = expect(l, " ", space)) != PROXY_HEADER_DONE ||
        (rc = proxy_v1_parse_address(l, &to)) != PROXY_HEADER_DONE ||
        (rc = expect(l, " ", space)) != PROXY_HEADER_DONE ||
        (rc = proxy_v1_parse_number(l, UINT16_MAX, &from_port, port)) != PROXY_HEADER_DONE ||
        (rc = expect(l, " ", space)) != PROXY_HEADER_DONE ||
        (rc = proxy_v1_parse_number(l, UINT16_MAX, &to_port, port)) != PROXY_HEADER_DONE)
        return rc;
    set_port(&from, from_port);
    set_port(&to, to_port);
    addr_peer_set(&h->source, (struct sockaddr *)&from, sizeof from);
    addr_peer_set(&h->destination, (struct sockaddr *)&to, sizeof to);
    h->has_addresses = true;
    return PROXY_HEADER_DONE;
}

/* Parses "UNKNOWN" and ignores the rest of the line, as the specification requires. */
static enum proxy_header_result parse_unknown(struct line *l)
{
    enum proxy_header_result rc = expect(l, "UNKNOWN", "neither TCP4 nor TCP6 nor UNKNOWN");
    if (rc != PROXY_HEADER_DONE)
        return rc;
    if (l->at < l->end && *l->at != ' ' && *l->at != '\r')
        return proxy_v1_invalid(l, "neither TCP4 nor TCP6 nor UNKNOWN");
    while (l->at < l->end && *l->at != '\r' && *l->at != '\n')
        l->at++;
    return l->at == l->end ? PROXY_HEADER_MORE : PROXY_HEADER_DONE;
}

static enum proxy_header_result parse_line(struct line *l, struct proxy_header *h)
{
    enum proxy_header_result rc = expect(l, "PROXY ", "does not begin with PROXY");
    if (rc != PROXY_HEADER_DONE)
        return rc;
    if (l->at == l->end)
        return PROXY_HEADER_MORE;
    if (*l->at == 'U')
        rc = parse_unknown(l);
    else if ((rc = expect(l, "TCP", "neither TCP4 nor TCP6 nor UNKNOWN")) == PROXY_HEADER_DONE)
        rc = parse_tcp(l, h);
    if (rc == PROXY_HEADER_DONE)
        rc = expect(l, "\r\n", "the line does not end in CR LF");
    return rc;
}

enum proxy_header_result proxy_v1_parse(struct proxy_header *h, const unsigned char *bytes,
                                        size_t n)
{
    struct line l = { bytes, bytes + (n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES), NULL };
    enum proxy_header_result rc = parse_line(&l, h);
    if (rc == PROXY_HEADER_MORE && n >= LINE_MAX_BYTES - 1 && bytes[LINE_MAX_BYTES - 2] != '\r')
        rc = proxy_v1_invalid(&l, "the line is longer than 107 bytes");
    h->length = (size_t)(l.at - bytes);
    h->why = l.why;
    return rc;
}

static const void *proxy_v1_ip(const struct addr_peer *p)
{
    return p->sa.sa_family == AF_INET ? (const void *)&p->in.sin_addr
                                      : (const void *)&p->in6.sin6_addr;
}

size_t proxy_v1_write(unsigned char buf[PROXY_HEADER_WRITE_MAX], const struct addr_peer *source,
                      const struct addr_peer *destination)
{
    char from[INET6_ADDRSTRLEN];
    char to[INET6_ADDRSTRLEN];
    const sa_family_t family = source->sa.sa_family;
    if (family != AF_INET && family != AF_INET6)
        return (size_t)snprintf((char *)buf, PROXY_HEADER_WRITE_MAX, "PROXY UNKNOWN\r\n");
    inet_ntop(family, proxy_v1_ip(source), from, sizeof from);
    inet_ntop(family, proxy_v1_ip(destination), to, sizeof to);
    return (size_t)snprintf((char *)buf, PROXY_HEADER_WRITE_MAX, "PROXY TCP%c %s %s %u %u\r\n",
                            family == AF_INET ? '4' : '6', from, to,
                            (unsigned)ntohs(source->in.sin_port),
                            (unsigned)ntohs(destination->in.sin_port));
}
