/* The file of a unix socket: creates it, sets its owner, recognizes and removes it.
 *
 * Other users may replace the file, and another program may listen there. So a file is changed or
 * removed only if it is the one that was created here (base/safe_open.h). Abstract addresses have
 * no file: for them these functions do nothing. */
#ifndef ZPROXY_RELAY_UNIX_SOCKET_H
#define ZPROXY_RELAY_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/safe_open.h"

/* The owner of the file; (uid_t)-1, (gid_t)-1: not changed. */
struct unix_owner {
    uid_t uid;
    gid_t gid;
};

/* Whether the address has a file. */
bool unix_socket_has_file(const struct addr *at);

/* Whether the address names its directory by a descriptor (/proc/self/fd), because other users
 * could have moved the directory while the socket was bound. Then only the last part is the name
 * that the user wrote. */
bool unix_socket_is_by_descriptor(const struct addr *at);

/* Checks that the address is free: there is no file, or the file of a socket on which no process
 * listens, left by a process that has ended. Changes nothing. Returns 0; -EADDRINUSE; -EEXIST if
 * the file is not a socket; or another -errno. */
int unix_socket_probe(const struct addr *at);

/* Binds fd. First removes the file of a process that has ended, if it is older than a program needs
 * from bind(2) to listen(2): of two programs that start together, one gets the address. The file
 * has the mode from its creation; 0: umask(2) decides. Returns 0 and sets *file; or -errno, and has
 * left no file. */
int unix_socket_bind(int fd, const struct addr *at, unsigned mode, const struct unix_owner *owner,
                     struct file_id *file);

/* Returns 0 if the file is there; -ENOENT: there is no file; -ESTALE: there is another one; or
 * -errno. */
int unix_socket_check(const struct addr *at, const struct file_id *file);

/* Changes the mode of the file. Returns 0 or -errno. */
int unix_socket_set_mode(const struct addr *at, const struct file_id *file, unsigned mode);

/* Removes the file, if permissions allow. Call it while the socket is open: until then no other
 * file can have its inode number. */
void unix_socket_unlink(const struct addr *at, const struct file_id *file);

#endif
