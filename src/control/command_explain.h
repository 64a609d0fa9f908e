/* The command that tells which server a client would get, and why not another: explain. */
#ifndef ZPROXY_CONTROL_COMMAND_EXPLAIN_H
#define ZPROXY_CONTROL_COMMAND_EXPLAIN_H

#include "control/request.h"

extern const struct command_list command_explain;

#endif
