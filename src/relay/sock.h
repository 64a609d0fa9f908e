/* Sockets: listen, connect, options. All descriptors are non-blocking and close on exec. */
#ifndef ZPROXY_RELAY_SOCK_H
#define ZPROXY_RELAY_SOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "relay/unix_socket.h"

/* 0 leaves a number to the kernel. */
struct sock_options {
    bool nodelay;
    bool keepalive;
    int keepalive_time;     /* s */
    int keepalive_interval; /* s */
    int keepalive_count;
    int user_timeout; /* ms */
    int receive_buffer;
    int send_buffer;
    bool delay_ack; /* the handshake's last acknowledgement waits for something to send */
    /* for listening sockets only */
    int backlog;
    int fastopen;     /* queue length */
    int defer_accept; /* s */
    unsigned mode; /* of a unix socket's file, from the moment it is there; 0: as umask(2) says */
    const struct unix_owner *owner; /* of that file; NULL: as it comes */
};

/* Opens a stream socket. Returns the descriptor or -errno. */
int sock_open(int family);

/* Whether anyone listens there already: SO_REUSEPORT would let a second zproxy of the same user
 * join in silently and take half of the connections. Nothing is changed. Returns 0 when the address
 * is free, or -errno. */
int sock_probe(const struct addr *at);

/* Opens a socket to listen on with SO_REUSEPORT, so that each worker may have its own. What Linux
 * hands down from it to accepted sockets (TCP_NODELAY, keepalive, user timeout, buffers) is set
 * here once instead of once a session. It does not listen yet: nobody comes in, and others that are
 * bound to the address go on. *file: that of a unix socket, and with others none. Returns the
 * descriptor or -errno. */
int sock_bind(const struct addr *at, const struct sock_options *options, struct file_id *file);

/* What to tell the user of a failure of it. */
const char *sock_bind_strerror(int rc);

/* The same, and it listens. */
int sock_listen(const struct addr *at, const struct sock_options *options, struct file_id *file);

/* Changes what can be changed of a listening socket; what cannot stays. */
void sock_relisten(int fd, const struct addr *at, const struct sock_options *options);

/* Where a connection comes from. */
struct sock_source {
    struct addr addr; /* len 0: the kernel chooses. Of another family than `to`: likewise */
    bool transparent; /* no address of this machine: IP_TRANSPARENT, ip(7) */
};

/* Begins to connect; writable says that it has succeeded or failed, sock_error() which. nodelay is
 * left to be set before a second write, which many connections never see. source: NULL is the
 * kernel's choice. Returns the descriptor or -errno. */
int sock_connect(const struct addr *to, const struct sock_options *options,
                 const struct sock_source *source);

/* Accepts a client. Returns the descriptor with the client's address in *client, or -errno. */
int sock_accept(int fd, struct addr_peer *client);

/* Whether an error (positive) of sock_connect(), or of the connection to `to` that it began, says
 * that something is lacking or forbidden on this machine. It says nothing about the server. */
bool sock_error_is_local(const struct addr *to, int error);

/* Takes the pending error from the socket (SO_ERROR): 0, or a positive errno. */
int sock_error(int fd);

/* Resets a connection at once, though another process may have the same socket open: close() would
 * wait for it. connect(2): AF_UNSPEC dissolves the association. */
void sock_abort(int fd);

/* Has close(2) reset the connection instead of sending FIN, what is queued is dropped (SO_LINGER 0,
 * socket(7)); or closes it so at once. */
void sock_reset_on_close(int fd);
void sock_reset(int fd);

/* Turns Nagle's algorithm off. */
void sock_set_nodelay(int fd);

#endif
