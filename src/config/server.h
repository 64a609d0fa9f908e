/* A server line: ADDRESS [name=X] [weight=1..256] [backup] [max_connections=N] [state=S]
 * [check_address=ADDRESS] */
#ifndef ZPROXY_CONFIG_SERVER_H
#define ZPROXY_CONFIG_SERVER_H

#include "base/value.h"

extern const struct value_kind value_kind_server; /* struct config_server */

#endif
