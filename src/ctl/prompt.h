/* The prompt of zproxyctl, with editing, history and completion if it was built with libedit. */
#ifndef ZPROXY_CTL_PROMPT_H
#define ZPROXY_CTL_PROMPT_H

#include <stdbool.h>

#include "ctl/ctl.h"

/* Reads and runs commands until "quit", "exit" or the end of the input. Returns 1 if all commands
 * succeeded, 0 if not; -errno if the connection to zproxy failed. */
int prompt_run(struct ctl *c);

#endif
