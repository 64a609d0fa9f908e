/* Commands that return when no session is left: "drain ... --wait", "shutdown --wait", "wait". */
#ifndef ZPROXY_CTL_AWAIT_H
#define ZPROXY_CTL_AWAIT_H

#include "ctl/ctl.h"

/* Runs the command, which drains the target ("POOL/SERVER"), and waits until the target has no
 * session. Waits on through an upgrade, and if a reload removes the target. */
enum ctl_status await_drain(struct ctl *c, const char *command, const char *target);

/* Waits until the target, "POOL/SERVER", "POOL" or "listener LISTENER", has no session. */
enum ctl_status await_target(struct ctl *c, const char *target);

/* Runs the command, "shutdown ...", and waits until the process has ended. */
enum ctl_status await_shutdown(struct ctl *c, const char *command);

#endif
