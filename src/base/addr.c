#include "base/addr.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/hostname.h"
#include "base/text.h"
#include "base/utf8.h"

#define UNIX_PREFIX "unix:"
#define UNIX_PATH_MAX \
    107 /* sun_path without the NUL behind a path or in front of an abstract name */
#define UNIX_PATH_BEGIN offsetof(struct sockaddr_un, sun_path)

/* --- Parsing --- */

static int addr_fail(const char **why, const char *text)
{
    *why = text;
    return -EINVAL;
}

static int addr_parse_port(const char *text, uint16_t *port, const char **why)
{
    unsigned number = 0;
    if (*text == '\0')
        return addr_fail(why, "port missing, expected ADDRESS:PORT");
    for (const char *c = text; *c != '\0'; c++) {
        if (*c < '0' || *c > '9' || c - text == 5)
            return addr_fail(why, "bad port, expected a number from 1 to 65535");
        number = number * 10 + (unsigned)(*c - '0');
    }
    if (number < 1 || number > UINT16_MAX)
        return addr_fail(why, "bad port, expected a number from 1 to 65535");
    *port = htons((uint16_t)number);
    return 0;
}

static void addr_set_in(struct addr *a, struct in_addr ip, uint16_t port)
{
    a->len = sizeof a->in;
    a->in.sin_family = AF_INET;
    a->in.sin_addr = ip;
    a->in.sin_port = port;
}

static void addr_set_in6(struct addr *a, const struct in6_addr *ip, uint16_t port)
{
    a->len = sizeof a->in6;
    a->in6.sin6_family = AF_INET6;
    a->in6.sin6_addr = *ip;
    a->in6.sin6_port = port;
}

static struct in_addr unmap_in6(const struct in6_addr *ip)
{
    struct in_addr in;
    memcpy(&in, &ip->s6_addr[12], sizeof in);
    return in;
}

/* The scope is the name or the number of an interface. */
static int parse_scope(struct addr *a, const char *scope, const char **why)
{
    unsigned number = 0;
    char name[IF_NAMESIZE] = "";
    if (!IN6_IS_ADDR_LINKLOCAL(&a->in6.sin6_addr)) {
        if (scope != NULL)
            return addr_fail(why, "a scope, expected one of fe80:: addresses only");
        return 0;
    }
    if (scope == NULL || *scope == '\0')
        return addr_fail(why, "scope missing, expected [fe80::1%eth0]:80");
    if (strlen(scope) < sizeof name)
        snprintf(name, sizeof name, "%s", scope);
    if (strspn(name, "0123456789") == strlen(name) && strlen(name) < 10)
        number = (unsigned)strtoul(name, NULL, 10);
    else
        number = if_nametoindex(name);
    if (number == 0)
        return addr_fail(why, "no such interface, expected one of this machine");
    a->in6.sin6_scope_id = number;
    return 0;
}

/* "[" IPv6 ["%" scope] "]:" port */
static int addr_parse_in6(struct addr *a, const char *text, const char **why)
{
    char host[INET6_ADDRSTRLEN + 1 + IF_NAMESIZE];
    struct in6_addr ip;
    uint16_t port = 0;
    const char *end = strchr(text, ']');
    if (end == NULL)
        return addr_fail(why, "no closing bracket, expected [IPv6]:PORT");
    if (end[1] != ':')
        return addr_fail(why, "port missing, expected [IPv6]:PORT");
    size_t n = (size_t)(end - text) - 1;
    if (n >= sizeof host)
        return addr_fail(why, "not an IPv6 address, expected one as in [2001:db8::1]:80");
    memcpy(host, text + 1, n);
    host[n] = '\0';
    char *scope = strchr(host, '%');
    if (scope != NULL)
        *scope++ = '\0';
    if (inet_pton(AF_INET6, host, &ip) != 1)
        return addr_fail(why, "not an IPv6 address, expected one as in [2001:db8::1]:80");
    if (addr_parse_port(end + 2, &port, why) < 0)
        return -EINVAL;
    if (IN6_IS_ADDR_V4MAPPED(&ip) && scope == NULL) {
        addr_set_in(a, unmap_in6(&ip), port);
        return 0;
    }
    addr_set_in6(a, &ip, port);
    return parse_scope(a, scope, why);
}

/* The error message for a text that is not an IPv4 address. */
static const char *host_error(const char *host)
{
    if (strchr(host, ':') != NULL)
        return "no brackets, expected [IPv6]:PORT";
    if (*host == '\0')
        return "address missing, expected ADDRESS:PORT, or *:PORT for all addresses";
    if (hostname_ends_in_number(host))
        return "not an IPv4 address, expected four numbers from 0 to 255";
    return "a name, expected a numeric address";
}

/* IPv4 ":" port, or "*:" port */
static int addr_parse_in(struct addr *a, const char *text, const char **why)
{
    char host[INET6_ADDRSTRLEN + 1];
    struct in_addr ip;
    struct in6_addr ip6;
    uint16_t port = 0;
    if (inet_pton(AF_INET6, text, &ip6) == 1)
        return addr_fail(why, "no brackets, expected [IPv6]:PORT");
    const char *colon = strrchr(text, ':');
    if (colon == NULL)
        return addr_fail(why, "port missing, expected ADDRESS:PORT");
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    bool all = strcmp(host, "*") == 0;
    if (!all && inet_pton(AF_INET, host, &ip) != 1)
        return addr_fail(why, host_error(host));
    if (addr_parse_port(colon + 1, &port, why) < 0)
        return -EINVAL;
    a->dual_stack = all;
    if (all)
        addr_set_in6(a, &in6addr_any, port);
    else
        addr_set_in(a, ip, port);
    return 0;
}

/* Reads one byte of a path, plain or as "\xNN", and advances *text. Returns -1 for another escape.
 */
static int next_path_byte(const char **text)
{
    const char *at = *text;
    if (at[0] != '\\') {
        *text = at + 1;
        return (unsigned char)at[0];
    }
    int high = at[1] == 'x' ? text_hex_digit(at[2]) : -1;
    int low = high != -1 ? text_hex_digit(at[3]) : -1;
    if (low == -1)
        return -1;
    *text = at + 4;
    return high * 16 + low;
}

/* Removes "//" and "/./", so that a file has one spelling. Returns the new length. */
static size_t shorten_path(char *path, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        while (path[i] == '/' && i + 1 < n &&
               (path[i + 1] == '/' || (path[i + 1] == '.' && i + 2 < n && path[i + 2] == '/')))
            i += path[i + 1] == '/' ? 1 : 2;
        path[kept++] = path[i];
    }
    memset(path + kept, 0, n - kept);
    return kept;
}

/* Parses what follows "unix:": an absolute path, or "@" and a name of any bytes. */
static int parse_unix(struct addr *a, const char *text, const char **why)
{
    bool abstract = *text == '@';
    size_t n = abstract ? 1 : 0;
    const size_t max = UNIX_PATH_MAX + n;
    if (abstract)
        text++;
    else if (*text != '/')
        return addr_fail(why, "not an absolute path, expected unix:/PATH or unix:@NAME");
    if (*text == '\0')
        return addr_fail(why, "name missing, expected unix:/PATH or unix:@NAME");
    while (*text != '\0') {
        int byte = next_path_byte(&text);
        if (byte == -1)
            return addr_fail(why, "bad backslash, expected \\xNN, two hexadecimal digits");
        if (byte == 0 && !abstract)
            return addr_fail(why, "\\x00, expected a path without it");
        if (n == max)
            return addr_fail(why, "too long, expected a name of at most 107 bytes");
        a->un.sun_path[n++] = (char)byte;
    }
    if (!abstract)
        n = shorten_path(a->un.sun_path, n);
    a->un.sun_family = AF_UNIX;
    a->len = (socklen_t)(UNIX_PATH_BEGIN + n + (abstract ? 0 : 1));
    return 0;
}

int addr_parse(struct addr *a, const char *text, const char **why)
{
    memset(a, 0, sizeof *a);
    if (*text == '\0')
        return addr_fail(why, "empty, expected ADDRESS:PORT or unix:/PATH");
    if (strncmp(text, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0)
        return parse_unix(a, text + strlen(UNIX_PREFIX), why);
    if (*text == '[')
        return addr_parse_in6(a, text, why);
    if (*text == '/')
        return addr_fail(why, "a path alone, expected unix:/PATH");
    return addr_parse_in(a, text, why);
}

/* --- Printing --- */

static const char *print_word(const char *word, char buf[ADDR_TEXT_MAX])
{
    snprintf(buf, ADDR_TEXT_MAX, "%s", word);
    return buf;
}

static const char *print_in(const struct sockaddr_in *in, char buf[ADDR_TEXT_MAX])
{
    char host[INET_ADDRSTRLEN];
    inet_ntop(AF_INET, &in->sin_addr, host, sizeof host);
    snprintf(buf, ADDR_TEXT_MAX, "%s:%u", host, (unsigned)ntohs(in->sin_port));
    return buf;
}

static const char *print_in6(const struct sockaddr_in6 *in6, bool dual_stack,
                             char buf[ADDR_TEXT_MAX])
{
    char host[INET6_ADDRSTRLEN];
    char interface[IF_NAMESIZE];
    unsigned port = ntohs(in6->sin6_port);
    inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof host);
    if (dual_stack)
        snprintf(buf, ADDR_TEXT_MAX, "*:%u", port);
    else if (in6->sin6_scope_id == 0)
        snprintf(buf, ADDR_TEXT_MAX, "[%s]:%u", host, port);
    else if (if_indextoname(in6->sin6_scope_id, interface) != NULL)
        snprintf(buf, ADDR_TEXT_MAX, "[%s%%%s]:%u", host, interface, port);
    else
        snprintf(buf, ADDR_TEXT_MAX, "[%s%%%u]:%u", host, (unsigned)in6->sin6_scope_id, port);
    return buf;
}

/* Whether the byte has a meaning in a configuration file and must be escaped. */
static bool addr_is_special(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f || c == '\\' || c == ',';
}

/* Escapes only what must be escaped, so the result is never longer than what addr_parse() read. */
static void print_path(const char *path, size_t n, char *out, size_t room)
{
    while (n > 0) {
        size_t length = addr_is_special(*path) ? 0 : utf8_length(path, n);
        int written = length > 0 ? snprintf(out, room, "%.*s", (int)length, path)
                                 : snprintf(out, room, "\\x%02x", (unsigned)(unsigned char)*path);
        length = length > 0 ? length : 1;
        path += length;
        n -= length;
        out += written;
        room -= (size_t)written;
    }
}

/* The length that the kernel returns may include the NUL behind a path, or not: unix(7). */
static size_t path_length(const struct addr *a)
{
    if (a->len <= UNIX_PATH_BEGIN)
        return 0; /* an unbound socket */
    size_t n = a->len - UNIX_PATH_BEGIN;
    if (n > sizeof a->un.sun_path)
        n = sizeof a->un.sun_path;
    return a->un.sun_path[0] == '\0' ? n : strnlen(a->un.sun_path, n);
}

static const char *print_unix(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
    size_t n = path_length(a);
    const char *path = a->un.sun_path;
    bool abstract = n > 0 && *path == '\0';
    size_t begin = (size_t)snprintf(buf, ADDR_TEXT_MAX, UNIX_PREFIX "%s", abstract ? "@" : "");
    if (abstract) {
        path++;
        n--;
    }
    print_path(path, n, buf + begin, ADDR_TEXT_MAX - begin);
    return buf;
}

const char *addr_print(const struct addr *a, char buf[ADDR_TEXT_MAX])
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return print_in(&a->in, buf);
    case AF_INET6:
        return print_in6(&a->in6, a->dual_stack, buf);
    case AF_UNIX:
        return print_unix(a, buf);
    default:
        return print_word("-", buf);
    }
}

/* --- Peers --- */

const char *addr_peer_print(const struct addr_peer *p, char buf[ADDR_TEXT_MAX])
{
    switch (p->sa.sa_family) {
    case AF_INET:
        return print_in(&p->in, buf);
    case AF_INET6:
        return print_in6(&p->in6, false, buf);
    case AF_UNIX:
        return print_word(UNIX_PREFIX, buf);
    default:
        return print_word("-", buf);
    }
}

void addr_peer_set(struct addr_peer *p, const struct sockaddr *sa, socklen_t len)
{
    memset(p, 0, sizeof *p);
    if (len < sizeof sa->sa_family)
        return;
    p->sa.sa_family = sa->sa_family;
    if (sa->sa_family == AF_INET && len >= sizeof p->in)
        memcpy(&p->in, sa, sizeof p->in);
    if (sa->sa_family != AF_INET6 || len < sizeof p->in6)
        return;
    memcpy(&p->in6, sa, sizeof p->in6);
    if (!IN6_IS_ADDR_V4MAPPED(&p->in6.sin6_addr))
        return;
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = p->in6.sin6_port,
                              .sin_addr = unmap_in6(&p->in6.sin6_addr) };
    memset(p, 0, sizeof *p);
    p->in = in;
}

/* --- Validity --- */

/* Reads the byte, since reading a bool that is neither 0 nor 1 is undefined. */
static bool addr_is_flag(const bool *flag)
{
    return *(const unsigned char *)flag <= 1;
}

static bool is_unix_path(const struct addr *a)
{
    if (a->len <= UNIX_PATH_BEGIN || a->len > sizeof a->un)
        return false;
    size_t size = a->len - UNIX_PATH_BEGIN;
    return a->un.sun_path[0] == '\0' || strnlen(a->un.sun_path, size) + 1 == size;
}

bool addr_is_valid(const struct addr *a)
{
    if (!addr_is_flag(&a->dual_stack))
        return false;
    switch (a->sa.sa_family) {
    case AF_INET:
        return a->len == sizeof a->in;
    case AF_INET6:
        return a->len == sizeof a->in6;
    case AF_UNIX:
        return is_unix_path(a);
    default:
        return false;
    }
}

bool addr_peer_is_valid(const struct addr_peer *p)
{
    switch (p->sa.sa_family) {
    case AF_UNSPEC: /* unknown */
    case AF_UNIX:
    case AF_INET:
    case AF_INET6:
        return true;
    default:
        return false;
    }
}

/* --- Comparing --- */

/* The significant bytes of an address, in network byte order: the same on every machine. */
struct addr_key {
    size_t len;
    unsigned char bytes[sizeof(struct sockaddr_un)];
};

static void addr_key_append(struct addr_key *e, const void *bytes, size_t n)
{
    assert(n <= sizeof e->bytes - e->len);
    memcpy(e->bytes + e->len, bytes, n);
    e->len += n;
}

static void addr_key_of(struct addr_key *e, const struct addr *a)
{
    const unsigned char head[] = { (unsigned char)a->sa.sa_family, a->dual_stack };
    e->len = 0; /* bytes[] is not cleared: sorting calls this often */
    addr_key_append(e, head, sizeof head);
    switch (a->sa.sa_family) {
    case AF_INET:
        addr_key_append(e, &a->in.sin_addr, sizeof a->in.sin_addr);
        addr_key_append(e, &a->in.sin_port, sizeof a->in.sin_port);
        break;
    case AF_INET6: {
        uint32_t scope = htonl(a->in6.sin6_scope_id);
        addr_key_append(e, &a->in6.sin6_addr, sizeof a->in6.sin6_addr);
        addr_key_append(e, &a->in6.sin6_port, sizeof a->in6.sin6_port);
        addr_key_append(e, &scope, sizeof scope);
        break;
    }
    case AF_UNIX:
        addr_key_append(e, a->un.sun_path, path_length(a));
        break;
    default:
        break;
    }
}

int addr_compare(const struct addr *a, const struct addr *b)
{
    struct addr_key ea;
    struct addr_key eb;
    addr_key_of(&ea, a);
    addr_key_of(&eb, b);
    if (ea.len != eb.len)
        return ea.len < eb.len ? -1 : 1;
    return memcmp(ea.bytes, eb.bytes, ea.len);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
    return addr_compare(a, b) == 0;
}

uint64_t addr_hash(const struct addr *a)
{
    struct addr_key e;
    addr_key_of(&e, a);
    return hash_bytes(e.bytes, e.len);
}

uint64_t addr_peer_hash(const struct addr_peer *p, bool with_port)
{
    struct addr a = { .len = p->sa.sa_family == AF_INET    ? sizeof a.in
                             : p->sa.sa_family == AF_INET6 ? sizeof a.in6
                                                           : sizeof(sa_family_t) };
    a.sa.sa_family = p->sa.sa_family;
    if (a.sa.sa_family == AF_INET)
        a.in = p->in;
    else if (a.sa.sa_family == AF_INET6)
        a.in6 = p->in6;
    if (!with_port && a.sa.sa_family != AF_UNIX)
        a.in.sin_port = 0; /* sin6_port has the same offset */
    return addr_hash(&a);
}

bool addr_is_unix(const struct addr *a)
{
    return a->sa.sa_family == AF_UNIX;
}

bool addr_is_wildcard(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

bool addr_is_loopback(const struct addr *a)
{
    if (a->sa.sa_family == AF_INET)
        return ntohl(a->in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

uint16_t addr_port(const struct addr *a)
{
    switch (a->sa.sa_family) {
    case AF_INET:
        return ntohs(a->in.sin_port);
    case AF_INET6:
        return ntohs(a->in6.sin6_port);
    default:
        return 0;
    }
}

void addr_set_port(struct addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET)
        a->in.sin_port = htons(port);
    else if (a->sa.sa_family == AF_INET6)
        a->in6.sin6_port = htons(port);
}

bool addr_covers(const struct addr *at, const struct addr *a)
{
    if (addr_equal(at, a))
        return true;
    return !addr_is_unix(a) && addr_is_wildcard(at) && addr_port(at) == addr_port(a) &&
           (at->dual_stack || (at->sa.sa_family == a->sa.sa_family && !a->dual_stack));
}

bool addr_overlap(const struct addr *a, const struct addr *b)
{
    return addr_covers(a, b) || addr_covers(b, a);
}

static bool same_host(const struct addr *a, const struct sockaddr *b)
{
    const struct sockaddr_in *in = (const void *)b;
    const struct sockaddr_in6 *in6 = (const void *)b;
    if (b == NULL || b->sa_family != a->sa.sa_family)
        return false;
    if (b->sa_family == AF_INET)
        return in->sin_addr.s_addr == a->in.sin_addr.s_addr;
    return b->sa_family == AF_INET6 && IN6_ARE_ADDR_EQUAL(&in6->sin6_addr, &a->in6.sin6_addr) &&
           in6->sin6_scope_id == a->in6.sin6_scope_id;
}

/* Whether an interface of this machine has the address. All of 127.0.0.0/8 is local. */
static bool is_local(const struct addr *a)
{
    struct ifaddrs *all = NULL;
    bool found = addr_is_loopback(a);
    if (found || getifaddrs(&all) == -1)
        return found;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next)
        found = same_host(a, i->ifa_addr);
    freeifaddrs(all);
    return found;
}

/* A connection from this machine to its own address arrives at the interface that has the address,
 * although its packets take the loopback interface. An address that is not here yet may come to any
 * interface. */
static bool may_arrive_at(const struct addr *to, const char *device)
{
    struct ifaddrs *all = NULL;
    bool is_here = false;
    bool found = false;
    if (addr_is_loopback(to))
        return strcmp(device, "lo") == 0;
    if (getifaddrs(&all) == -1)
        return false;
    for (const struct ifaddrs *i = all; i != NULL && !found; i = i->ifa_next)
        if (same_host(to, i->ifa_addr)) {
            is_here = true;
            found = strcmp(i->ifa_name, device) == 0;
        }
    freeifaddrs(all);
    return found || !is_here;
}

bool addr_reaches(const struct addr *to, const struct addr *at, const char *device)
{
    if (!addr_equal(to, at) && !(addr_covers(at, to) && is_local(to)))
        return false;
    return device == NULL || may_arrive_at(to, device);
}
