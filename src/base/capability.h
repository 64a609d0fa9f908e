/* Capabilities. The only one that zproxy keeps when it drops its privileges is CAP_NET_RAW, to
 * connect from addresses of clients (IP_TRANSPARENT, ip(7)). CAP_NET_ADMIN would also suffice, but
 * allows far more; see capabilities(7). Capabilities belong to a thread: each function acts on the
 * calling thread.
 */
#ifndef ZPROXY_BASE_CAPABILITY_H
#define ZPROXY_BASE_CAPABILITY_H

#include <stdbool.h>

/* Whether the thread may use IP_TRANSPARENT. */
bool capability_has_transparent(void);
/* Whether CAP_NET_ADMIN is effective. */
bool capability_has_net_admin(void);

/* Call before setuid(2), which would drop all capabilities (PR_SET_KEEPCAPS). Returns 0 or -errno.
 */
int capability_set_keepcaps(void);

/* Call after setuid(2): keeps CAP_NET_RAW, also over execve(2), and drops the others. Returns 0 or
 * -errno. */
int capability_keep_transparent(void);

/* Drops all capabilities from the bounding set, except CAP_NET_RAW if raw is true: no program that
 * the thread, or a thread it starts later, executes can gain them. Does nothing without
 * CAP_SETPCAP. */
void capability_drop_bounding_set(bool raw);

#endif
