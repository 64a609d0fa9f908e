/* Algorithms of TCP congestion control: which ones sockets of this process may use. */
#ifndef ZPROXY_BASE_CONGESTION_H
#define ZPROXY_BASE_CONGESTION_H

#include <stdbool.h>

#define CONGESTION_WHY_MAX 512

/* Whether sockets may use the algorithm. privileged: the process keeps CAP_NET_ADMIN, with which
 * every algorithm may be used, and the kernel loads the module of one. load: have it loaded now.
 * Returns 0; or -1 with the reason, and what was expected, in why. */
int congestion_check(const char *name, bool privileged, bool load, char why[CONGESTION_WHY_MAX]);

#endif
