/* Names of hosts, and patterns that they fit. Letter case never matters. */
#ifndef ZPROXY_BASE_HOSTNAME_H
#define ZPROXY_BASE_HOSTNAME_H

#include <stdbool.h>
#include <stddef.h>

#define HOSTNAME_MAX 255

/* Whether n bytes are a name: labels of 1 to 63 letters, digits, "-" and "_", with dots between
 * them and none at the end. */
bool hostname_is_valid(const char *name, size_t n);

/* A pattern is a name, or "*." and a name: that fits names with one label or more in front of it,
 * and not the name alone. */
bool hostname_is_pattern(const char *pattern, size_t n);

/* Whether the name fits the pattern of n bytes. */
bool hostname_fits(const char *name, const char *pattern, size_t n);

#endif
