/* The sockets that the service manager has opened and hands over at the start: sd_listen_fds(3),
 * which is three environment variables and needs no library. All of them are kept for as long as
 * the process lives, used or not: a later configuration may name them. For the control thread. */
#ifndef ZPROXY_CONTROL_INHERITED_H
#define ZPROXY_CONTROL_INHERITED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/addr.h"
#include "config/config.h"

#define INHERITED_NAME 256 /* bytes of a name, with its NUL: systemd.socket(5) */

struct inherited_socket {
    char name[INHERITED_NAME]; /* FileDescriptorName=; several may have the same */
    int number;                /* of the descriptor, as the service manager passed it */
    int fd;
};

struct inherited {
    struct inherited_socket **socket; /* they stay where they are: pointers to them may be kept */
    size_t count;
};

/* Takes what was meant for this process, and the variables out of the environment in any case: they
 * are no child's. Returns 0 or -ENOMEM. */
int inherited_init(struct inherited *in);
/* Closes the sockets. Ours are duplicates, so this ends no listening of the service manager's. */
void inherited_fini(struct inherited *in);

/* One that another process was handed. Takes fd over, also on failure. Returns 0 or -ENOMEM. */
int inherited_adopt(struct inherited *in, const char *name, int number, int fd);

/* Whether this is one of those that "fd:NAME" or "fd:NUMBER" in a configuration stands for. */
bool inherited_matches(const struct inherited_socket *s, const char *name);
/* Writes which sockets there are, as the configuration may name them. */
void inherited_print(const struct inherited *in, FILE *out);

/* Where it listens. Returns 0; or -errno: -ENOTSOCK, -EPROTONOSUPPORT when it is no stream of TCP
 * or unix, -EDESTADDRREQ when it does not listen. */
int inherited_address(const struct inherited_socket *s, struct addr *at);
/* What that result says of the unit file. */
const char *inherited_error(int rc);

/* Writes a line, begun with prefix, for each name in conf that nothing was handed over by. */
void inherited_print_missing(const struct inherited *in, const struct config *conf, FILE *out,
                             const char *prefix);

#endif
