/* Where a server line leads: an address, a host and its port, or a service. */
#ifndef ZPROXY_CONFIG_ENDPOINT_H
#define ZPROXY_CONFIG_ENDPOINT_H

#include <stdbool.h>
#include <stdio.h>

#include "base/value.h"
#include "config/config.h"

/* Reads "10.0.0.1:80", "10.0.0.1", "unix:/run/app.sock", "db1.example:5432" or
 * "srv:_redis._tcp.example" into what is zeroed: addr, or host with port or service. Returns 0, or
 * -EINVAL or -ENOMEM with *error filled in. host is then the caller's. */
int endpoint_parse(struct config_server *s, const char *text, struct value_error *error);

/* Writes it as endpoint_parse() reads it; the same in memory, which is the caller's, or NULL. */
void endpoint_print(const struct config_server *s, FILE *out);
char *endpoint_to_string(const struct config_server *s);

/* Whether text would be read as the same. */
bool endpoint_equals_text(const struct config_server *s, const char *text);

#endif
