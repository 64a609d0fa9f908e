/* TCP connections to oneself.
 *
 * Where nothing listens at an address of this machine, and the kernel happens to choose the port of
 * that address for the client, the socket connects to itself (simultaneous open, RFC 9293, 3.5):
 * it returns what is sent, and the server cannot bind to its address. Such a connection counts as
 * refused, and is reset at once.
 */
#ifndef ZPROXY_RELAY_SELF_CONNECT_H
#define ZPROXY_RELAY_SELF_CONNECT_H

#include <stdbool.h>

#include "base/addr.h"

/* Whether the kernel may choose the port of `to` for a client (ip_local_port_range, ip(7), which is
 * read again after a second). Port 0, of a server without one: it may. */
bool self_connect_has_port(const struct addr *to);

/* Whether a connection to `to` may be one to itself: it has such a port, and is an address of this
 * machine. Takes three system calls where it has. */
bool self_connect_is_possible(const struct addr *to);

/* Whether the connected socket is connected to itself. Two system calls. */
bool self_connect_happened(int fd);

#endif
