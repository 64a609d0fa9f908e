/* Commands about the configuration: reload, preview, set log_level. */
#ifndef ZPROXY_CONTROL_COMMAND_CONFIG_H
#define ZPROXY_CONTROL_COMMAND_CONFIG_H

#include "control/request.h"

extern const struct command_list command_config;

#endif
