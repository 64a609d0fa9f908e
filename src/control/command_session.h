/* Commands about sessions: show sessions, show session, close session, close sessions. */
#ifndef ZPROXY_CONTROL_COMMAND_SESSION_H
#define ZPROXY_CONTROL_COMMAND_SESSION_H

#include "control/request.h"

extern const struct command_list command_session;

#endif
