/* Names of hosts, and patterns that they fit. Letter case never matters. */
#ifndef ZPROXY_BASE_HOSTNAME_H
#define ZPROXY_BASE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOSTNAME_MAX 255

/* Whether n bytes are a name: labels of 1 to 63 letters, digits, "-" and "_", with dots between
 * them and none at the end. */
bool hostname_is_valid(const char *name, size_t n);

/* Whether the last label of a name is a number, decimal or after "0x": then it is an address in one
 * of the forms of inet_aton(3), right or wrong, and not the name of a host (WHATWG URL, 3.5). */
bool hostname_ends_in_number(const char *name);

/* A pattern is a name, or "*." and a name: that fits names with one label or more in front of it,
 * and not the name alone. */
bool hostname_is_pattern(const char *pattern, size_t n);

/* Whether the name fits the pattern of n bytes. */
bool hostname_matches(const char *name, const char *pattern, size_t n);

#endif
