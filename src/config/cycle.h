/* Loops through zproxy: a server of a pool may be an address of another listener, but such a chain
 * must not lead back to the pool, or a connection would open connections for ever. */
#ifndef ZPROXY_CONFIG_CYCLE_H
#define ZPROXY_CONFIG_CYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define CYCLE_NONE SIZE_MAX

/* What to search. The callbacks get arg. */
struct cycle {
    const struct config *conf;
    /* Returns the index of the listener that accepts connections to an address; CYCLE_NONE: none.
     */
    size_t (*find_listener)(void *arg, const struct addr *to);
    /* Sets *at to address n of a pool, and *same_port if that has no port of its own. An unknown
     * address has len 0 and is skipped. Returns false after the last address. */
    bool (*server)(void *arg, size_t pool, size_t n, struct addr *at, bool *same_port);
    void *arg;
};

/* Whether a connection to the address `to` leads to a pool, through listeners, routes, fallbacks
 * and servers. With port > 0 only if it arrives at that port. Returns 1, 0 or -ENOMEM. If 1, *steps
 * is the chain, "listen a -> pool b -> listen c -> pool d", which the caller frees with free(); or
 * NULL if it is only one listener and one pool. A chain of more than CYCLE_DEPTH_MAX listeners
 * counts as a loop. */
#define CYCLE_DEPTH_MAX 1000
int cycle_find(const struct cycle *c, size_t pool, uint16_t port, const struct addr *to,
               char **steps);

#endif
