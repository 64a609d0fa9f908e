/* Commands that change servers: set server, drain, add server, del server. */
#ifndef ZPROXY_CONTROL_COMMAND_SERVER_H
#define ZPROXY_CONTROL_COMMAND_SERVER_H

#include "control/request.h"

extern const struct command_list command_server;

#endif
