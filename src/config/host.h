/* Names that are looked up in the DNS. */
#ifndef ZPROXY_CONFIG_HOST_H
#define ZPROXY_CONFIG_HOST_H

#include <stdbool.h>

/* A name of the DNS has at most 253 bytes as text (RFC 1035, 2.3.4), and may end in a dot. */
#define HOST_MAX 253

/* Whether name is a host's: labels of 1 to 63 letters, digits, "-" (not at their ends) and "_",
 * with dots between (RFC 1123, 2.1). What ends in a number, decimal or hexadecimal, is a misspelt
 * address and no name.
 * Otherwise *why says what is wrong (static text). */
bool host_is_name(const char *name, const char **why);

/* The same for a service, "_redis._tcp.example" (RFC 2782), or as Consul and others call them,
 * "redis.service.consul": three labels at least. */
bool host_is_service(const char *name, const char **why);

#endif
