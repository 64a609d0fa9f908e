/* TCP connections of a socket to itself.
 *
 * If no process listens at an address of this machine, and the kernel chooses the port of that
 * address as the source port, the socket connects to itself (simultaneous open, RFC 9293, 3.5). It
 * then returns what is sent, and the server cannot bind to its address. Such a connection counts as
 * refused and is reset at once.
 */
#ifndef ZPROXY_RELAY_SELF_CONNECT_H
#define ZPROXY_RELAY_SELF_CONNECT_H

#include <stdbool.h>

#include "base/addr.h"

/* Whether the kernel may choose the port of `to` as a source port (ip_local_port_range, ip(7); read
 * at most once a second). True for port 0, a server without a port. */
bool self_connect_has_port(const struct addr *to);

/* Whether a socket that connects to `to` may connect to itself: `to` has such a port and is an
 * address of this machine. Takes three system calls if the port is such a one. */
bool self_connect_is_possible(const struct addr *to);

/* Whether a connected socket is connected to itself. Takes two system calls. */
bool self_connect_happened(int fd);

#endif
