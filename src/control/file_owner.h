/* Whose the file of a unix socket shall be, as the configuration has it. */
#ifndef ZPROXY_CONTROL_FILE_OWNER_H
#define ZPROXY_CONTROL_FILE_OWNER_H

#include "relay/unix_socket.h"

/* user NULL, group NULL: that stays as it comes. Names or numbers. Returns 0 or -ENOENT: no such
 * user or group. */
int file_owner_find(const char *user, const char *group, struct unix_owner *owner);

#endif
