/* The one right beyond those of ordinary users that relaying may take: to connect from addresses
 * that are not this machine's (IP_TRANSPARENT, ip(7)). CAP_NET_RAW gives it, and CAP_NET_ADMIN,
 * which allows far more; capabilities(7).
 */
#ifndef ZPROXY_BASE_CAPABILITY_H
#define ZPROXY_BASE_CAPABILITY_H

#include <stdbool.h>

/* Whether this thread may do it. */
bool capability_has_transparent(void);

/* Before root becomes somebody else, for the thread that will: what it may is not all lost. */
int capability_set_keepcaps(void);

/* And after: CAP_NET_RAW is what is kept, also by the program that this one is replaced by, and
 * nothing else. Both return 0 or -errno. */
int capability_keep_transparent(void);

/* Takes all other capabilities out of the bounding set, for this thread and those that it starts:
 * no program that is run later can gain them. raw: CAP_NET_RAW stays. Where this thread may not,
 * nothing changes. */
void capability_drop_bounding_set(bool raw);

#endif
