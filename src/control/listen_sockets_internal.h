/* What listen_sockets.c and listen_sockets_open.c share: a change of the listening sockets. */
#ifndef ZPROXY_CONTROL_LISTEN_SOCKETS_INTERNAL_H
#define ZPROXY_CONTROL_LISTEN_SOCKETS_INTERNAL_H

#include "control/listen_sockets.h"
#include "relay/sock.h"

/* An address of the new configuration. */
struct wanted {
    size_t listen; /* index of its section */
    const struct config_bind *bind;
    struct listen_socket *socket;
    bool is_new;                    /* socket was made by this change */
    struct listen_socket *replaced; /* the old socket, whose file was removed; NULL: none */
    size_t had;                     /* descriptors before the change */
};

struct listen_sockets_change {
    struct listen_sockets *listen_sockets;
    const struct config *conf;
    size_t workers;
    struct wanted *wanted;
    size_t count;
    struct sock_defaults defaults;         /* of the kernel, at the commit */
    struct listener_tasks *listener_tasks; /* for all workers, before and after the change */
};

/* Closes the descriptors that no worker has. */
void listen_socket_free(struct listen_socket *ls);

/* Makes room for count descriptors. Returns 0 or -ENOMEM. */
int listen_socket_reserve(struct listen_socket *ls, size_t count);
void listen_socket_add(struct listen_socket *ls, int fd);

/* Removes the file of a unix socket, unless the service manager has made it. */
void listen_socket_remove_file(const struct listen_socket *ls);

/* Returns -1. */
int listen_sockets_print_error(FILE *errors, const struct listen_sockets_change *ch, size_t listen,
                               const struct addr *at, int rc);
void listen_sockets_warn(const struct addr *at, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Probe checks whether another program uses one of the addresses; open binds the missing sockets.
 * Return 0, or -1 after printing the errors. */
int listen_sockets_probe_all(const struct listen_sockets_change *ch, FILE *errors);
int listen_sockets_open_all(const struct listen_sockets_change *ch, FILE *errors);

#endif
