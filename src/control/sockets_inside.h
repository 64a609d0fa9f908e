/* What sockets.c and sockets_open.c share: a change of the listening sockets. */
#ifndef ZPROXY_CONTROL_SOCKETS_INSIDE_H
#define ZPROXY_CONTROL_SOCKETS_INSIDE_H

#include "control/sockets.h"

/* One address of the new configuration. */
struct wanted {
    size_t listen; /* the section */
    const struct config_bind *bind;
    struct listen_socket *socket;
    bool is_new;
    struct listen_socket *lost; /* what it replaces, where that has no file any more; or NULL */
    size_t had;                 /* descriptors before */
};

struct sockets_change {
    struct sockets *sockets;
    const struct config *conf;
    size_t workers;
    struct wanted *wanted;
    size_t count;
    struct orders *orders; /* for the workers that are at work before or after */
};

/* Closes what no worker has. */
void listen_socket_free(struct listen_socket *ls);

/* Makes room for count descriptors; what it had stays. Returns 0 or -ENOMEM. */
int listen_socket_reserve(struct listen_socket *ls, size_t count);
void listen_socket_add(struct listen_socket *ls, int fd);

/* Removes the file of a unix socket, unless the service manager has made it. */
void listen_socket_remove_file(const struct listen_socket *ls);

/* Returns -1. */
int sockets_tell(FILE *errors, const struct sockets_change *ch, size_t listen,
                 const struct addr *at, int rc);
void sockets_warn(const struct addr *at, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Looks whether any address is in use, and binds what is not there. Both return 0, or -1 after
 * having told errors. */
int sockets_probe_all(const struct sockets_change *ch, FILE *errors);
int sockets_open_all(const struct sockets_change *ch, FILE *errors);

#endif
