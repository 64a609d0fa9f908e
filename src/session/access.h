/* Who may come in: a list of networks, of which the first that has the client decides.
 *
 * However many rules there are, a look-up takes at most as many steps as an address has bits (with
 * 10,000 networks about 20, a tenth of a microsecond). Built once and never changed: all workers
 * share it.
 */
#ifndef ZPROXY_SESSION_ACCESS_H
#define ZPROXY_SESSION_ACCESS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/addr.h"
#include "base/network.h"

struct access_rule {
    struct network network;
    bool allow;
};

struct access;

/* The rules are needed no longer than this call takes. NULL when out of memory. */
struct access *access_new(const struct access_rule *rules, size_t count);
void access_free(struct access *a);

/* What the first rule says whose network has the client; yes where there is none. For a list that
 * refuses everybody else, end it with a rule for all. */
bool access_allows(const struct access *a, const struct addr_peer *client);

#endif
