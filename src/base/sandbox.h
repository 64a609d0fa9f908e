/* Paths that systemd hides from a service, although a shell sees them. From any thread. */
#ifndef ZPROXY_BASE_SANDBOX_H
#define ZPROXY_BASE_SANDBOX_H

#include "base/addr.h"

/* The setting of a unit that hides the path, such as "PrivateTmp=", if the unit has it; or NULL. */
const char *sandbox_setting(const char *path);

/* A static text to append to the reason of a failed connect(2). error: its errno. If the process is
 * a service of systemd, and such a setting may be the cause, it is " (...)"; otherwise "". */
const char *sandbox_hint(const struct addr *to, int error);

#endif
