/* Names of hosts and services: whether they are valid, and patterns of names. Case is ignored. */
#ifndef ZPROXY_BASE_HOSTNAME_H
#define ZPROXY_BASE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOSTNAME_MAX     255 /* bytes of a name that a client sends */
#define HOSTNAME_DNS_MAX 253 /* bytes of a name that is looked up (RFC 1035, 2.3.4) */

/* Whether n bytes are a name as clients send it: at most HOSTNAME_MAX bytes, labels of 1 to 63
 * letters, digits, "-" and "_", separated by dots, without a dot at the end. */
bool hostname_is_valid(const char *name, size_t n);

/* Whether name is a host that can be looked up: as above, but at most HOSTNAME_DNS_MAX bytes and
 * no label begins or ends with "-" (RFC 1123, 2.1); a dot at the end is allowed. A name that ends
 * in a number is not valid: it is a misspelt address. When false, *why says what is wrong (static
 * text). */
bool hostname_is_host(const char *name, const char **why);

/* The same for the name of SRV records, "_redis._tcp.example" (RFC 2782) or, as in Consul,
 * "redis.service.consul": at least three labels. */
bool hostname_is_service(const char *name, const char **why);

/* Whether the last label of a name is a number, decimal or hexadecimal after "0x": then
 * inet_aton(3) may read it as an address, and it is not the name of a host (WHATWG URL, 3.5). */
bool hostname_ends_in_number(const char *name);

/* Whether the name matches the pattern of n bytes. A pattern is a name, or "*." and a name: that
 * matches names with one or more labels in front of it, and not the name itself. */
bool hostname_matches(const char *name, const char *pattern, size_t n);

#endif
