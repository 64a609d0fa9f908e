/* Limits of each client address: open sessions (max_connections_per_ip), and new sessions per time
 * (rate_limit_per_ip).
 *
 * Sessions are counted exactly over all workers, in a hash table with chains. A few hundred locks
 * share the chains; a lock is held for a walk along one chain. The hash has a random key, so that
 * clients cannot make a chain long.
 *
 * An address stays in the table while it has sessions, and then until its token bucket is full
 * again. Such an address is removed at the next walk along its chain. Of the addresses without
 * sessions a chain keeps CLIENT_LIMITS_CHAIN_KEEPS; beyond that the one whose bucket is full
 * soonest is removed. So millions of addresses need a bounded amount of memory, cause no refusals
 * of other addresses, and do not displace an address that has used more of its rate.
 */
#ifndef ZPROXY_SESSION_CLIENT_LIMITS_H
#define ZPROXY_SESSION_CLIENT_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

#define CLIENT_LIMITS_CHAINS      32768
#define CLIENT_LIMITS_CHAIN_KEEPS 8 /* 262,144 addresses without a session, 16 MiB */

enum client_limits_result {
    CLIENT_LIMITS_OK,
    CLIENT_LIMITS_CONNECTIONS, /* max_connections is reached */
    CLIENT_LIMITS_RATE,        /* the rate is used up */
    CLIENT_LIMITS_MEMORY,      /* out of memory */
};

struct client_limits;

/* max_connections: open sessions of an address; 0: no limit. rate_count new sessions in rate_period
 * ms, both below 2^31; rate_count 0: no limit. ip6_prefix, 1 to 128: the leading bits of an IPv6
 * address that identify a client. Returns NULL when out of memory or random numbers.
 *
 * The rate is a token bucket that starts full: "100/s" lets 100 sessions begin at once, and then
 * one each 10 ms. */
struct client_limits *client_limits_new(uint64_t max_connections, uint64_t rate_count,
                                        uint64_t rate_period, unsigned ip6_prefix);
void client_limits_free(struct client_limits *l);

/* Changes the limits. Sessions above a new max_connections stay, and the part of the rate that an
 * address has used stays used. */
void client_limits_change(struct client_limits *l, uint64_t max_connections, uint64_t rate_count,
                          uint64_t rate_period, uint64_t now);

/* From any thread. now: ms of one monotonic clock (those of workers may differ a little). After
 * CLIENT_LIMITS_OK the session counts until client_limits_release(); after any other result it does
 * not. Clients without an IP address have no limits. */
enum client_limits_result client_limits_acquire(struct client_limits *l,
                                                const struct addr_peer *client, uint64_t now);
/* Counts a session of a handover, even above the limits. Returns false when out of memory. */
bool client_limits_adopt(struct client_limits *l, const struct addr_peer *client, uint64_t now);
void client_limits_release(struct client_limits *l, const struct addr_peer *client, uint64_t now);

#endif
