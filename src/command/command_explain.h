/* The command that tells which server a client would get, and why not another: explain. */
#ifndef ZPROXY_COMMAND_COMMAND_EXPLAIN_H
#define ZPROXY_COMMAND_COMMAND_EXPLAIN_H

#include "command/request.h"

extern const struct command_list command_explain;

#endif
