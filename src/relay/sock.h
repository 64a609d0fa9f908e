/* Sockets: listen, connect, options. All descriptors are non-blocking and close on exec. */
#ifndef ZPROXY_RELAY_SOCK_H
#define ZPROXY_RELAY_SOCK_H

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"
#include "relay/unix_socket.h"

/* A number of 0 means the kernel's default. */
struct sock_options {
    bool nodelay;
    bool keepalive;
    int keepalive_time;     /* s */
    int keepalive_interval; /* s */
    int keepalive_count;
    int user_timeout; /* ms */
    int receive_buffer;
    int send_buffer;
    const char *congestion; /* NULL: the kernel's default; TCP_CONGESTION, tcp(7) */
    unsigned dscp;          /* RFC 2474; its default is 0 */
    int notsent_lowat;      /* TCP_NOTSENT_LOWAT */
    bool delay_ack;         /* send the last acknowledgement of the handshake with the first data */
    /* for listening sockets only */
    int backlog;
    int fastopen;     /* queue length */
    int defer_accept; /* s */
    unsigned mode;    /* of a unix socket's file, from its creation; 0: umask(2) decides */
    const struct unix_owner *owner; /* of that file; NULL: not changed */
    bool freebind;      /* the address need not be one of this machine: IP_FREEBIND, ip(7) */
    const char *device; /* NULL: any; SO_BINDTODEVICE, socket(7): accepted sockets have it too */
};

/* Opens a stream socket. Returns the descriptor or -errno. */
int sock_open(int family);

/* Checks that no process listens at the address: with SO_REUSEPORT a second zproxy of the same user
 * would share it and take half of the connections. Changes nothing. Returns 0 if the address is
 * free, or -errno. Of the options only freebind and device are used; NULL: neither. */
int sock_probe(const struct addr *at, const struct sock_options *options);
/* Whether no interface of this machine has the IP address: then it can be bound only with freebind.
 */
bool sock_address_is_missing(const struct addr *at);

/* Binds a socket with SO_REUSEPORT, so that each worker may have its own. Options that accepted
 * sockets inherit from it on Linux (TCP_NODELAY, keepalive, user timeout, buffers) are set here,
 * once instead of for each session. The socket does not listen yet: it gets no connections, and
 * other sockets of the address keep theirs. *file is set to the file of a unix socket, otherwise to
 * none. Returns the descriptor or -errno. */
int sock_bind(const struct addr *at, const struct sock_options *options, struct file_id *file);

/* Sets device to the name of the interface that the socket is bound to (SO_BINDTODEVICE); "": none.
 */
void sock_device(int fd, char device[IFNAMSIZ]);

/* The text for an error of sock_bind(). */
const char *sock_bind_strerror(int rc);

#define SOCK_CONGESTION_MAX 16 /* the kernel's TCP_CA_NAME_MAX */

/* What new TCP sockets have, unless it is set. */
struct sock_defaults {
    char congestion[SOCK_CONGESTION_MAX]; /* "": not known; likewise a number of 0 */
    int keepalive_time;
    int keepalive_interval;
    int keepalive_count;
};

void sock_get_defaults(struct sock_defaults *d);

/* Sets the options of a listening socket that can be changed; those that the options leave to the
 * kernel are set to the defaults again, except for the sizes of buffers. */
void sock_relisten(int fd, const struct addr *at, const struct sock_options *options,
                   const struct sock_defaults *defaults);

/* The source address of a connection. */
struct sock_source {
    struct addr addr; /* len 0, or another family than the destination: the kernel chooses */
    bool transparent; /* it is no address of this machine: IP_TRANSPARENT, ip(7) */
};

/* Begins to connect. When the socket is writable, the connect has succeeded or failed: sock_error()
 * returns which. Does not set nodelay, which is needed before a second write only (SIDE_NAGLE).
 * source NULL: the kernel chooses. Returns the descriptor or -errno. */
int sock_connect(const struct addr *to, const struct sock_options *options,
                 const struct sock_source *source);

/* Accepts a client and sets *client to its address. Returns the descriptor or -errno. */
int sock_accept(int fd, struct addr_peer *client);

/* Whether an error (positive) of sock_connect(), or of its connection to `to`, has its cause on
 * this machine: a lack of resources or of rights. Such an error does not count against the server.
 */
bool sock_error_is_local(const struct addr *to, int error);

/* Takes the pending error from the socket (SO_ERROR): 0, or a positive errno. */
int sock_error(int fd);

/* Resets a connection at once, also if another process has the socket open; close(2) would have no
 * effect until that process closes it too. connect(2): AF_UNSPEC dissolves the association. */
void sock_abort(int fd);

/* The first makes close(2) send a reset instead of FIN and drop queued bytes (SO_LINGER 0,
 * socket(7)). The second also closes the socket. */
void sock_reset_on_close(int fd);
void sock_reset(int fd);

/* Turns Nagle's algorithm off. */
void sock_set_nodelay(int fd);

/* In bytes; the kernel doubles them. */
void sock_set_send_buffer(int fd, int size);

#endif
