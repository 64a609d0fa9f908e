#include "base/network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/hostname.h"

#define BITS_IN     32
#define BITS_IN6    128
#define BITS_MAPPED 96 /* of ::ffff:0:0/96, the IPv4-mapped addresses */

static int network_fail(char why[NETWORK_WHY_MAX], const char *text)
{
    snprintf(why, NETWORK_WHY_MAX, "%s", text);
    return -EINVAL;
}

static unsigned address_bits(const struct network *n)
{
    switch (n->family) {
    case AF_INET:
        return BITS_IN;
    case AF_INET6:
        return BITS_IN6;
    default:
        return 0;
    }
}

static void clear_host_bits(void *address, unsigned size, unsigned bits)
{
    unsigned char *byte = address;
    for (unsigned i = bits / 8; i < size; i++)
        byte[i] &= i == bits / 8 ? (unsigned char)(0xff00 >> bits % 8) : 0;
}

/* The error message for a text that is not an address. */
static const char *address_error(const char *text)
{
    if (*text == '\0')
        return "address missing, expected ADDRESS/BITS, an address, unix: or all";
    if (*text == '[')
        return "a network has no brackets and no port, expected IPv6/BITS";
    if (strcmp(text, "*") == 0)
        return "a wildcard, expected all";
    if (strncmp(text, "unix:", 5) == 0)
        return "clients of unix sockets have no names, expected unix: for all of them";
    if (strchr(text, '%') != NULL)
        return "a scope, expected a network without it";
    if (strchr(text, '.') != NULL && strchr(text, ':') != NULL)
        return "a network has no port, expected ADDRESS/BITS";
    if (hostname_ends_in_number(text) && strchr(text, ':') == NULL)
        return "not an IPv4 address, expected four numbers from 0 to 255";
    if (strspn(text, "0123456789abcdefABCDEF:") == strlen(text) && strchr(text, ':') != NULL)
        return "not an IPv6 address, expected one as in 2001:db8::/32";
    return "a name, expected a numeric network";
}

static int network_parse_address(struct network *n, const char *text, char why[NETWORK_WHY_MAX])
{
    if (inet_pton(AF_INET, text, &n->in) == 1)
        n->family = AF_INET;
    else if (inet_pton(AF_INET6, text, &n->in6) == 1)
        n->family = AF_INET6;
    else
        return network_fail(why, address_error(text));
    return 0;
}

/* text: NULL for a single address, of which all bits count. */
static int parse_prefix(struct network *n, const char *text, char why[NETWORK_WHY_MAX])
{
    unsigned number = 0;
    const char *digit = text;
    if (text == NULL) {
        n->prefix = (uint8_t)address_bits(n);
        return 0;
    }
    while (*digit >= '0' && *digit <= '9' && digit - text < 3)
        number = number * 10 + (unsigned)(*digit++ - '0');
    if (digit == text || *digit != '\0' || number > address_bits(n))
        return network_fail(why, n->family == AF_INET
                                     ? "bad prefix, expected a number from 0 to 32"
                                     : "bad prefix, expected a number from 0 to 128");
    n->prefix = (uint8_t)number;
    return 0;
}

static void network_unmap(struct network *n)
{
    if (n->family != AF_INET6 || n->prefix < BITS_MAPPED || !IN6_IS_ADDR_V4MAPPED(&n->in6))
        return;
    struct network in = { .family = AF_INET, .prefix = n->prefix - BITS_MAPPED };
    memcpy(&in.in, &n->in6.s6_addr[12], sizeof in.in);
    *n = in;
}

static int check_bits(struct network *n, char why[NETWORK_WHY_MAX])
{
    char right[NETWORK_TEXT_MAX];
    const struct network written = *n;
    clear_host_bits(&n->in6, address_bits(n) / 8, n->prefix);
    if (network_equal(n, &written))
        return 0;
    snprintf(why, NETWORK_WHY_MAX, "bits are set beyond the prefix, expected %s",
             network_print(n, right));
    return -EINVAL;
}

int network_parse(struct network *n, const char *text, char why[NETWORK_WHY_MAX])
{
    char address[INET6_ADDRSTRLEN];
    const size_t length = strcspn(text, "/");
    memset(n, 0, sizeof *n);
    if (strcmp(text, "all") == 0)
        return 0;
    if (strcmp(text, "unix:") == 0) {
        n->family = AF_UNIX;
        return 0;
    }
    snprintf(address, sizeof address, "%.*s", (int)length, text);
    if (length >= sizeof address)
        return network_fail(why, address_error(address));
    if (network_parse_address(n, address, why) < 0 ||
        parse_prefix(n, text[length] == '\0' ? NULL : text + length + 1, why) < 0)
        return -EINVAL;
    network_unmap(n);
    return check_bits(n, why);
}

const char *network_print(const struct network *n, char buf[NETWORK_TEXT_MAX])
{
    char address[INET6_ADDRSTRLEN];
    if (n->family == AF_UNSPEC || n->family == AF_UNIX) {
        snprintf(buf, NETWORK_TEXT_MAX, "%s", n->family == AF_UNIX ? "unix:" : "all");
        return buf;
    }
    inet_ntop(n->family, &n->in6, address, sizeof address);
    if (n->prefix == address_bits(n))
        snprintf(buf, NETWORK_TEXT_MAX, "%s", address);
    else
        snprintf(buf, NETWORK_TEXT_MAX, "%s/%u", address, (unsigned)n->prefix);
    return buf;
}

bool network_equal(const struct network *a, const struct network *b)
{
    return a->family == b->family && a->prefix == b->prefix &&
           memcmp(&a->in6, &b->in6, address_bits(a) / 8) == 0;
}
