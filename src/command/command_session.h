/* Commands about sessions: show sessions, show session, close session, close sessions. */
#ifndef ZPROXY_COMMAND_COMMAND_SESSION_H
#define ZPROXY_COMMAND_COMMAND_SESSION_H

#include "command/request.h"

extern const struct command_list command_session;

#endif
