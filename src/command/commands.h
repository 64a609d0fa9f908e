/* All commands of the control socket: zproxyctl(8). For the control thread. */
#ifndef ZPROXY_COMMAND_COMMANDS_H
#define ZPROXY_COMMAND_COMMANDS_H

#include "control/admin.h"
#include "control/runtime.h"

/* Runs the command in line and answers the call, now or later. */
void commands_run(struct runtime *rt, struct admin_call *call, const char *line);

#endif
