/* An access list: networks with allow or deny. The first network that contains the client decides.
 *
 * With any number of rules a look-up takes at most as many steps as an address has bits (with
 * 10,000 networks about 20, a tenth of a microsecond). A list is never changed, so all workers
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

/* Copies what it needs of the rules. Returns NULL when out of memory. */
struct access *access_new(const struct access_rule *rules, size_t count);
void access_free(struct access *a);

/* Whether the first rule whose network contains the client allows it; true if there is no such
 * rule. To refuse all other clients, end the list with a rule for all. */
bool access_allows(const struct access *a, const struct addr_peer *client);

#endif
