/* The live view: rates, servers, the busiest sessions. */
#ifndef ZPROXY_CTL_TOP_H
#define ZPROXY_CTL_TOP_H

#include "ctl/talk.h"

/* Shows it until "q" is pressed. Returns 0; -ENOTTY without a terminal; -errno when zproxy has
 * gone. */
int top_run(struct talk *t);

#endif
