/* The command that ends zproxy: shutdown. */
#ifndef ZPROXY_COMMAND_COMMAND_PROCESS_H
#define ZPROXY_COMMAND_COMMAND_PROCESS_H

#include "command/request.h"

extern const struct command_list command_process;

#endif
