/* Commands about the configuration: reload, preview, set log_level. */
#ifndef ZPROXY_COMMAND_COMMAND_CONFIG_H
#define ZPROXY_COMMAND_COMMAND_CONFIG_H

#include "command/request.h"

extern const struct command_list command_config;

#endif
