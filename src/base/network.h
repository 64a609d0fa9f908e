/* IP networks of access rules: parse, print, compare. Functions on plain data, from any thread. */
#ifndef ZPROXY_BASE_NETWORK_H
#define ZPROXY_BASE_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"

/* May be copied; compare with network_equal(). */
struct network {
    /* AF_INET, AF_INET6; AF_UNIX: all clients of unix sockets; AF_UNSPEC: all clients */
    sa_family_t family;
    uint8_t prefix; /* significant bits of the address, 0 to 32 or 128; the others are 0 */
    union {
        struct in_addr in;
        struct in6_addr in6;
    };
};

#define NETWORK_TEXT_MAX (INET6_ADDRSTRLEN + 4) /* with "/128" and NUL */
#define NETWORK_WHY_MAX  (NETWORK_TEXT_MAX + 64)

/* Parses "10.0.0.0/8", "2001:db8::/32", a single address, "unix:" or "all". Numeric addresses only.
 * An IPv4-mapped network (::ffff:10.0.0.0/104) becomes IPv4, as addresses of clients do, so ::/0
 * contains no IPv4 client. Returns 0, or -EINVAL with the reason in why. If bits beyond the prefix
 * are set, the reason suggests the network that was probably meant. */
int network_parse(struct network *n, const char *text, char why[NETWORK_WHY_MAX]);

/* Writes the network in the form that network_parse() reads, a single address without prefix.
 * Returns buf. */
const char *network_print(const struct network *n, char buf[NETWORK_TEXT_MAX]);

bool network_equal(const struct network *a, const struct network *b);

#endif
