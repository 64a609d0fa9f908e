/* Runs the commands of the control socket, zproxyctl(8). For the control thread. */
#ifndef ZPROXY_COMMAND_COMMANDS_H
#define ZPROXY_COMMAND_COMMANDS_H

#include "control/admin.h"
#include "control/runtime.h"

/* Makes rt->admin, whose commands are these, and what they need; the socket itself is opened by the
 * configuration. Returns 0 or -errno. */
int commands_open(struct runtime *rt);

/* To be called after the loop is closed and all workers are joined. Without a commands_open() it
 * does nothing. */
void commands_fini(struct runtime *rt);

/* Runs the command in line and answers the call, before it returns or later. */
void commands_run(struct runtime *rt, struct admin_call *call, const char *line);

#endif
