/* The file of a unix socket: made, given away, known again, removed.
 *
 * Others may put another file in its place, and another program may listen there: what is changed
 * or removed is the file that was made here and no other (base/safe_open.h). Abstract addresses
 * have no file: nothing is done for them. */
#ifndef ZPROXY_RELAY_UNIX_SOCKET_H
#define ZPROXY_RELAY_UNIX_SOCKET_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/safe_open.h"

/* Whose the file shall be; (uid_t)-1, (gid_t)-1: as it comes. */
struct unix_owner {
    uid_t uid;
    gid_t gid;
};

/* Whether addr is one with a file. */
bool unix_socket_has_file(const struct addr *at);

/* Whether it names the directory by a descriptor, since others could have moved the directory while
 * the socket was bound: only the last name is one that people know then. */
bool unix_socket_is_by_descriptor(const struct addr *at);

/* Whether the address is free: there is no file, or that of a socket which no process listens on,
 * left behind by a process that is gone. Nothing is changed. Returns 0; -EADDRINUSE, -EEXIST (the
 * file is none of a socket) or another -errno. */
int unix_socket_probe(const struct addr *at);

/* Binds fd. A file that was left behind is removed, once it is older than a program takes from
 * bind(2) to listen(2): of two programs that start together, one gets the address. mode 0: as
 * umask(2) says; else the file has it from its first moment. Returns 0 with what it is in *file,
 * or -errno and there is no file. */
int unix_socket_bind(int fd, const struct addr *at, unsigned mode, const struct unix_owner *owner,
                     struct file_id *file);

/* Returns 0: the file is there; -ENOENT: it has gone; -ESTALE: another is there; or -errno. */
int unix_socket_check(const struct addr *at, const struct file_id *file);

/* Changes the mode of that file. Returns 0 or -errno. */
int unix_socket_set_mode(const struct addr *at, const struct file_id *file, unsigned mode);

/* Removes that file, where we may. Call while the socket is open: then no other has its number. */
void unix_socket_unlink(const struct addr *at, const struct file_id *file);

#endif
