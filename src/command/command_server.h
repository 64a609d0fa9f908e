/* Commands that change servers: set server, drain, add server, del server. */
#ifndef ZPROXY_COMMAND_COMMAND_SERVER_H
#define ZPROXY_COMMAND_COMMAND_SERVER_H

#include "command/request.h"

extern const struct command_list command_server;

#endif
