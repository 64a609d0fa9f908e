/* Networks as the user writes them: whom a rule is about. */
#ifndef ZPROXY_BASE_NETWORK_H
#define ZPROXY_BASE_NETWORK_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/addr.h"

/* Plain data: copy it, compare it with network_equal(). */
struct network {
    sa_family_t
        family;     /* AF_INET, AF_INET6; AF_UNIX: all clients of unix sockets; AF_UNSPEC: all */
    uint8_t prefix; /* bits of the address that count, 0 to 32 or 128; the others are 0 */
    union {
        struct in_addr in;
        struct in6_addr in6;
    };
};

#define NETWORK_TEXT_MAX (INET6_ADDRSTRLEN + 4) /* with "/128"; and NUL */
#define NETWORK_WHY_MAX  (NETWORK_TEXT_MAX + 64)

/* Reads "10.0.0.0/8", "2001:db8::/32", an address alone (a network of one), "unix:" or "all".
 * Numbers only. IPv4 in IPv6 clothes (::ffff:10.0.0.0/104) becomes IPv4, as clients' addresses do;
 * so ::/0 is all of IPv6 and nothing of IPv4. Returns 0, or -EINVAL with what is wrong in why;
 * where bits are set that the prefix leaves out, that names the network which was probably meant.
 */
int network_parse(struct network *n, const char *text, char why[NETWORK_WHY_MAX]);

/* Writes the network as network_parse() reads it, a network of one as an address. Returns buf. */
const char *network_print(const struct network *n, char buf[NETWORK_TEXT_MAX]);

bool network_equal(const struct network *a, const struct network *b);

#endif
