/* Where TLS sessions go: [sni=NAME[|NAME]] [alpn=PROTO[|PROTO]] pool=NAME */
#ifndef ZPROXY_CONFIG_ROUTE_H
#define ZPROXY_CONFIG_ROUTE_H

#include "base/value.h"

extern const struct value_kind value_kind_route; /* struct config_route */

#endif
