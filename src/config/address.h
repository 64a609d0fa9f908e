/* Kinds of values that are addresses and networks. */
#ifndef ZPROXY_CONFIG_ADDRESS_H
#define ZPROXY_CONFIG_ADDRESS_H

#include <stdbool.h>

#include "base/addr.h"
#include "base/value.h"

extern const struct value_kind value_kind_address; /* struct addr */
extern const struct value_kind
    value_kind_connect_address;                        /* the same, one to connect to: no *:80 */
extern const struct value_kind value_kind_unix_socket; /* the same, of a unix socket: its path */
extern const struct value_kind value_kind_nameserver;  /* struct addr; its port may be left out */
extern const struct value_kind value_kind_network;     /* struct network */
/* struct config_access; min says whether it allows (1) or denies (0). */
extern const struct value_kind value_kind_access;
/* struct config_source: "kernel", "client", or an IP address without a port */
extern const struct value_kind value_kind_source;

/* The key that a struct config_access comes from: "allow" or "deny". */
const char *address_access_key(const void *access);

/* Whether text has the form of an IP address without a port, "10.0.0.1" or "[2001:db8::1]". */
bool address_is_ip(const char *text);
/* Reads one and gives it a port, or none (0). Returns as value_parse() does. */
int address_parse_ip(struct addr *a, const char *text, uint16_t port, struct value_error *error);
/* Writes it. */
void address_print_ip(const struct addr *a, FILE *out);

#endif
