/* Commands that tell: show info, listeners, pools, servers, config. */
#ifndef ZPROXY_COMMAND_COMMAND_SHOW_H
#define ZPROXY_COMMAND_COMMAND_SHOW_H

#include "command/request.h"

extern const struct command_list command_show;

#endif
