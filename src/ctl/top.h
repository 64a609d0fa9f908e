/* The live view of zproxyctl: rates, problems, servers, the busiest sessions. */
#ifndef ZPROXY_CTL_TOP_H
#define ZPROXY_CTL_TOP_H

#include "ctl/control_client.h"

/* Shows the view until the user presses "q". Returns 0; -ENOTTY without a terminal; or -errno if
 * the connection to zproxy failed. */
int top_run(struct control_client *t);

#endif
