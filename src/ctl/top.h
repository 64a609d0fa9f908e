/* The live view: rates, servers, the busiest sessions. */
#ifndef ZPROXY_CTL_TOP_H
#define ZPROXY_CTL_TOP_H

#include "ctl/control_client.h"

/* Shows it until "q" is pressed. Returns 0; -ENOTTY without a terminal; -errno when zproxy has
 * gone. */
int top_run(struct control_client *t);

#endif
