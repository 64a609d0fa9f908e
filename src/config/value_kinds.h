/* The kinds of values that only a configuration has. */
#ifndef ZPROXY_CONFIG_VALUE_KINDS_H
#define ZPROXY_CONFIG_VALUE_KINDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/value.h"
#include "config/config.h"

/* --- Of any section (value_kinds.c) --- */

extern const struct value_kind value_kind_keepalive; /* struct config_keepalive */
extern const struct value_kind value_kind_busy_poll; /* uint64_t, us; 0 is auto */
extern const struct value_kind value_kind_rate;      /* struct config_rate; has a word for none */
/* struct log_target; its choice lists the targets that are allowed besides a path. */
extern const struct value_kind value_kind_log_target;
extern const char *const log_target_words[];
extern const char *const access_log_target_words[];

/* --- Addresses and networks (value_address.c) --- */

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
const char *value_access_key(const void *access);

/* Whether text has the form of an IP address without a port, "10.0.0.1" or "[2001:db8::1]". */
bool value_is_ip(const char *text);
/* Reads one and gives it a port, or none (0). Returns as value_parse() does. */
int value_parse_ip(struct addr *a, const char *text, uint16_t port, struct value_error *error);
/* Writes it. */
void value_print_ip(const struct addr *a, FILE *out);

/* --- Of [listen] (value_listen.c) --- */

/* struct config_bind: ADDRESS, a range of ports, or fd:NAME; for unix sockets also [mode=M]
 * [user=U] [group=G]. */
extern const struct value_kind value_kind_bind;
/* struct config_route: [sni=NAME[|NAME]] [alpn=PROTO[|PROTO]] pool=NAME */
extern const struct value_kind value_kind_route;

/* --- Of [pool] (value_server.c) --- */

/* struct config_server: ADDRESS [name=X] [weight=1..256] [backup] [max_connections=N] [state=S]
 * [check_address=ADDRESS] */
extern const struct value_kind value_kind_server;
/* Where a server line leads, as it is written there; free() is the caller's. NULL where there is no
 * memory. */
char *value_endpoint_to_string(const struct config_server *s);

/* --- Health checks (value_check.c) --- */

/* struct config_bytes, of 1 to BYTES_MAX bytes: \r \n \t \a \b \f \v \\ \" \' \NNN (one to three
 * octal digits, \0 among them) \xHH (always two digits); any other character is itself. */
extern const struct value_kind value_kind_bytes;
#define BYTES_MAX 4096
/* struct config_step. An ERE is an extended regular expression, regex(7), whose ^ and $ are the
 * ends of lines; \r \n \t \f \v and \xHH stand for bytes, other backslashes are the expression's
 * own. */
extern const struct value_kind value_kind_step;
/* uint64_t: a port, 0 where it is unset. */
extern const struct value_kind value_kind_check_port;
/* struct config_range: "200-399", or "200" for both ends, within min and max of the value. */
extern const struct value_kind value_kind_status_range;
/* char *: what a request line asks for, "/health?x=1" (RFC 9112, 3.2.1). */
extern const struct value_kind value_kind_http_path;
/* char *: what the header Host says, "www.example" or "[::1]:8080" (RFC 9112, 3.2). */
extern const struct value_kind value_kind_http_host;

#endif
