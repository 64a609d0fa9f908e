/* Whether a server that comes at run time (an answer to a name, `add server`) would close a circle
 * (config/cycle.h), with all servers that the pools have now. For the control thread. */
#ifndef ZPROXY_CONTROL_CYCLES_H
#define ZPROXY_CONTROL_CYCLES_H

#include <stdbool.h>

#include "base/addr.h"
#include "config/config.h"
#include "control/pools.h"

/* conf is in force. same_port: a server of its address, at the port that the client came to.
 * Without memory for the search it is taken for one that would. */
bool cycles_would_form(const struct config *conf, const struct pools *pools, const struct pool *p,
                       const struct addr *to, bool same_port);

#endif
