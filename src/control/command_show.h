/* Commands that tell: show info, listeners, pools, servers, config. */
#ifndef ZPROXY_CONTROL_COMMAND_SHOW_H
#define ZPROXY_CONTROL_COMMAND_SHOW_H

#include "control/request.h"

extern const struct command_list command_show;

#endif
