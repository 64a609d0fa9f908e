/* Whether a server that is added at run time, by a name's answer or by `add server`, would lead
 * back to zproxy itself in a cycle (config/cycle.h). The search follows all present servers of the
 * pools. For the control thread. */
#ifndef ZPROXY_CONTROL_CYCLES_H
#define ZPROXY_CONTROL_CYCLES_H

#include <stdbool.h>

#include "base/addr.h"
#include "config/config.h"
#include "control/pools.h"

/* conf: the configuration in force. same_port: the server's port is the one that the client has
 * connected to. Returns true also when out of memory. */
bool cycles_would_form(const struct config *conf, const struct pools *pools, const struct pool *p,
                       const struct addr *to, bool same_port);

#endif
