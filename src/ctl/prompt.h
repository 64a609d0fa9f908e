/* Commands typed one after the other, with editing and history where the build has libedit. */
#ifndef ZPROXY_CTL_PROMPT_H
#define ZPROXY_CTL_PROMPT_H

#include <stdbool.h>

#include "ctl/control_client.h"

/* Reads until "quit" or the end of the input. Returns whether all commands succeeded; -errno when
 * zproxy has gone. */
int prompt_run(struct control_client *t, bool json);

#endif
