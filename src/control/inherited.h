/* Sockets that the service manager has opened and passes at the start, sd_listen_fds(3): three
 * environment variables, so no library is needed. All of them stay open until the process ends,
 * used or not, since a later configuration may name them. For the control thread. */
#ifndef ZPROXY_CONTROL_INHERITED_H
#define ZPROXY_CONTROL_INHERITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/addr.h"
#include "config/config.h"

#define INHERITED_NAME 256 /* bytes of a name, with its NUL: systemd.socket(5) */

struct inherited_socket {
    char name[INHERITED_NAME]; /* FileDescriptorName=; several sockets may have the same */
    int number;                /* of the descriptor when the service manager passed it */
    int fd;
};

struct inherited {
    struct inherited_socket **socket; /* pointers to the sockets stay valid until the fini */
    size_t count;
};

/* Takes the sockets that are meant for this process ($LISTEN_PID). Always removes the variables
 * from the environment, so that no child process sees them. Returns 0 or -ENOMEM. */
int inherited_init(struct inherited *in);
/* Closes the sockets. The service manager keeps its descriptors of them and goes on listening. */
void inherited_fini(struct inherited *in);

/* For a handover: adds a socket that was passed to the old process. Takes ownership of fd, also on
 * failure. Returns 0 or -ENOMEM. */
int inherited_adopt(struct inherited *in, const char *name, int number, int fd);

/* Whether "fd:NAME" or "fd:NUMBER" in the configuration means this socket; name is without "fd:".
 */
bool inherited_matches(const struct inherited_socket *s, const char *name);
/* Prints the sockets by the names that the configuration may use. */
void inherited_print(const struct inherited *in, FILE *out);

/* The address that the socket listens on. Returns 0; or -errno: -ENOTSOCK, -EPROTONOSUPPORT (not
 * a stream of TCP or unix), -EDESTADDRREQ (not listening). */
int inherited_address(const struct inherited_socket *s, struct addr *at);
/* An error of inherited_address() in words, with what the socket unit should have. */
const char *inherited_error(int rc);

/* Prints a line, after prefix, for each name in conf that no socket has. */
void inherited_print_missing(const struct inherited *in, const struct config *conf, FILE *out,
                             const char *prefix);

#endif
