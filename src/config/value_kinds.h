/* The kinds of values that only a configuration has, beside those of base/value.h. Each is defined
 * in one of the value_*.c files; a row of keys.c refers to it. */
#ifndef ZPROXY_CONFIG_VALUE_KINDS_H
#define ZPROXY_CONFIG_VALUE_KINDS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/addr.h"
#include "base/value.h"
#include "config/config.h"

/* --- value_kinds.c: keepalive, busy polling, rates, log targets --- */

extern const struct value_kind value_kind_keepalive; /* struct config_keepalive */
extern const struct value_kind value_kind_busy_poll; /* uint64_t, us; 0 = auto */
extern const struct value_kind value_kind_rate;      /* struct config_rate; zero_word is required */
/* struct log_target; choices are the words that are allowed beside a path. */
extern const struct value_kind value_kind_log_target;
extern const char *const log_target_words[];
extern const char *const access_log_target_words[];

/* --- value_address.c: addresses and networks --- */

extern const struct value_kind value_kind_address;         /* struct addr */
extern const struct value_kind value_kind_connect_address; /* struct addr; no wildcard */
extern const struct value_kind value_kind_unix_socket;     /* struct addr; written as a path */
extern const struct value_kind value_kind_nameserver;      /* struct addr; the port is optional */
extern const struct value_kind value_kind_network;         /* struct network */
extern const struct value_kind value_kind_access; /* struct config_access; min 1: allow, 0: deny */
extern const struct value_kind value_kind_source; /* struct config_source */

/* The key that a struct config_access is given by: "allow" or "deny". */
const char *value_access_key(const void *access);

/* Whether text looks like an IP address without a port, "10.0.0.1" or "[2001:db8::1]". */
bool value_is_ip(const char *text);
/* Reads such an address and sets its port; 0 = none. Returns as value_parse() does. */
int value_parse_ip(struct addr *a, const char *text, uint16_t port, struct value_error *error);
/* Writes an address without its port. */
void value_print_ip(const struct addr *a, FILE *out);

/* --- value_listen.c: bind, route --- */

/* struct config_bind: ADDRESS, ADDRESS:PORT-PORT or fd:NAME; with unix:/PATH also [mode=M] [user=U]
 * [group=G] */
extern const struct value_kind value_kind_bind;
/* struct config_route: [sni=NAME[|NAME]...] [alpn=PROTOCOL[|PROTOCOL]...] pool=NAME */
extern const struct value_kind value_kind_route;

/* --- value_tcp.c: congestion, dscp --- */

extern const struct value_kind value_kind_congestion; /* char *; NULL: the word kernel */
extern const struct value_kind value_kind_dscp; /* struct config_dscp; 0-63, a name, or kernel */

/* --- value_server.c: server --- */

/* struct config_server: ADDRESS [name=X] [weight=1..256] [backup] [max_connections=N] [state=S]
 * [check_address=ADDRESS] */
extern const struct value_kind value_kind_server;
/* The address of a server as its line has it: an address, a name or a service. The caller frees it
 * with free(). NULL when out of memory. */
char *value_endpoint_to_string(const struct config_server *s);

/* --- value_tls.c: TLS --- */

extern const struct value_kind value_kind_tls_ca;      /* char *: a path; NULL: zero_word */
extern const struct value_kind value_kind_certificate; /* struct config_certificate */
extern const struct value_kind value_kind_protocol;    /* char *: of ALPN */
/* char *: ciphers or groups as OpenSSL writes them; NULL: zero_word */
extern const struct value_kind value_kind_library_list;
extern const struct value_kind value_kind_tls_name; /* char *: a name, an IP address or "client" */

/* --- value_check.c: health checks --- */

/* struct config_bytes, 1 to BYTES_MAX bytes, with the escapes of C: \r \n \t \a \b \f \v \\ \" \'
 * \NNN (one to three octal digits) \xHH (two hexadecimal digits). */
extern const struct value_kind value_kind_bytes;
#define BYTES_MAX 4096
/* struct config_step: "send BYTES", "expect BYTES", "expect_not BYTES" or "expect_regex ERE". An
 * ERE is an extended regular expression, regex(7), in which ^ and $ match at lines; \r \n \t \f \v
 * and \xHH are bytes, and every other backslash is left to regcomp(3). */
extern const struct value_kind value_kind_step;
extern const struct value_kind value_kind_check_port; /* uint64_t; 0 = unset */
/* struct config_range: "200-399", or "200" for both ends; within min and max of the value. */
extern const struct value_kind value_kind_status_range;
/* char *: the target of an HTTP request, "/health?x=1" (RFC 9112, 3.2.1). */
extern const struct value_kind value_kind_http_path;
/* char *: the value of the Host header, "www.example" or "[::1]:8080" (RFC 9112, 3.2). */
extern const struct value_kind value_kind_http_host;

#endif
