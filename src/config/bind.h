/* Where to listen: ADDRESS, a range of ports, or fd:NAME; for unix sockets also [mode=M] [user=U]
 * [group=G]. */
#ifndef ZPROXY_CONFIG_BIND_H
#define ZPROXY_CONFIG_BIND_H

#include "base/value.h"

extern const struct value_kind value_kind_bind; /* struct config_bind */

#endif
