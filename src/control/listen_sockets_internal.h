/* What sockets.c and listen_sockets_open.c share: a change of the listening sockets. */
#ifndef ZPROXY_CONTROL_LISTEN_SOCKETS_INTERNAL_H
#define ZPROXY_CONTROL_LISTEN_SOCKETS_INTERNAL_H

#include "control/listen_sockets.h"

/* One address of the new configuration. */
struct wanted {
    size_t listen; /* the section */
    const struct config_bind *bind;
    struct listen_socket *socket;
    bool is_new;
    struct listen_socket *replaced; /* what it replaces, where that has no file any more; or NULL */
    size_t had;                     /* descriptors before */
};

struct listen_sockets_change {
    struct listen_sockets *listen_sockets;
    const struct config *conf;
    size_t workers;
    struct wanted *wanted;
    size_t count;
    struct listener_tasks *listener_tasks; /* for the workers that are at work before or after */
};

/* Closes what no worker has. */
void listen_socket_free(struct listen_socket *ls);

/* Makes room for count descriptors; what it had stays. Returns 0 or -ENOMEM. */
int listen_socket_reserve(struct listen_socket *ls, size_t count);
void listen_socket_add(struct listen_socket *ls, int fd);

/* Removes the file of a unix socket, unless the service manager has made it. */
void listen_socket_remove_file(const struct listen_socket *ls);

/* Returns -1. */
int listen_sockets_print_error(FILE *errors, const struct listen_sockets_change *ch, size_t listen,
                               const struct addr *at, int rc);
void listen_sockets_warn(const struct addr *at, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Looks whether any address is in use, and binds what is not there. Both return 0, or -1 after
 * having told errors. */
int listen_sockets_probe_all(const struct listen_sockets_change *ch, FILE *errors);
int listen_sockets_open_all(const struct listen_sockets_change *ch, FILE *errors);

#endif
