/* Runs the commands of the control socket, zproxyctl(8). For the control thread. */
#ifndef ZPROXY_COMMAND_COMMANDS_H
#define ZPROXY_COMMAND_COMMANDS_H

#include "control/admin.h"
#include "control/runtime.h"

/* Makes rt->admin, which runs these commands, and the objects that they use. The socket is opened
 * later, with the configuration. Returns 0 or -errno. */
int commands_open(struct runtime *rt);

/* Must be called after the loop is closed and all workers are joined. Without commands_open() it
 * does nothing. */
void commands_fini(struct runtime *rt);

#endif
