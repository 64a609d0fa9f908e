/* What one client address may have and do: open sessions, and new ones per time.
 *
 * Counted exactly over all workers, in a table of chains of addresses; a few hundred locks share
 * the chains among them, and each is held for a look along one chain. Who hashes to which chain
 * depends on a random key, so nobody can make one long.
 *
 * An address is remembered while it has open sessions (so there are no more of these than
 * sessions), and then until its rate is full again: it is nobody then, and goes when its chain is
 * next looked at. Of those without a session a chain keeps CLIENT_LIMITS_CHAIN_KEEPS; beyond that
 * the one whose rate is soonest full again is forgotten. So millions of addresses cost a bounded
 * amount of memory, refuse nobody else, and do not make zproxy forget an address that did more than
 * they.
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
    CLIENT_LIMITS_CONNECTIONS, /* the address has as many sessions as it may have */
    CLIENT_LIMITS_RATE,        /* it has begun as many as it may for now */
    CLIENT_LIMITS_MEMORY,      /* there is none to count it */
};

struct client_limits;

/* max_connections: open sessions of an address; 0: any number. rate_count new sessions in
 * rate_period ms, each below 2^31; rate_count 0: any number. ip6_prefix, 1 to 128: so many bits of
 * an IPv6 address make a client. NULL when out of memory, or of random numbers.
 *
 * The rate is a token bucket that starts full: "100/s" lets 100 sessions begin at once, and then
 * one each 10 ms. */
struct client_limits *client_limits_new(uint64_t max_connections, uint64_t rate_count,
                                        uint64_t rate_period, unsigned ip6_prefix);
void client_limits_free(struct client_limits *l);

/* Other numbers, for the same sessions: who has more open than that keeps them, and of a rate that
 * was used up as much is used up. */
void client_limits_change(struct client_limits *l, uint64_t max_connections, uint64_t rate_count,
                          uint64_t rate_period, uint64_t now);

/* For any thread. now: ms of one monotonic clock (workers may differ a little). After
 * CLIENT_LIMITS_OK the session is counted until client_limits_release(); any other answer has
 * counted nothing. Clients that have no IP address are never limited. */
enum client_limits_result client_limits_acquire(struct client_limits *l,
                                                const struct addr_peer *client, uint64_t now);
/* Counts a session that was let in elsewhere, whatever the limits. Returns false without memory. */
bool client_limits_adopt(struct client_limits *l, const struct addr_peer *client, uint64_t now);
void client_limits_release(struct client_limits *l, const struct addr_peer *client, uint64_t now);

#endif
