/* Kinds of values that only health checks have. */
#ifndef ZPROXY_CONFIG_PROBE_H
#define ZPROXY_CONFIG_PROBE_H

#include "base/value.h"

/* uint64_t: a port, 0 where it is unset. */
extern const struct value_kind value_kind_check_port;
/* struct config_range: "200-399", or "200" for both ends, within min and max of the value. */
extern const struct value_kind value_kind_status_range;
/* char *: what a request line asks for, "/health?x=1" (RFC 9112, 3.2.1). */
extern const struct value_kind value_kind_http_path;
/* char *: what the header Host says, "www.example" or "[::1]:8080" (RFC 9112, 3.2). */
extern const struct value_kind value_kind_http_host;

#endif
