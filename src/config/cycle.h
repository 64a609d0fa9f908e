/* Chains of listeners: one whose pool has a server that is an address of another listener of the
 * file. That is allowed; a circle, in which connections would go round for ever, is not. */
#ifndef ZPROXY_CONFIG_CYCLE_H
#define ZPROXY_CONFIG_CYCLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"

#define CYCLE_NONE SIZE_MAX

struct cycle {
    const struct config *conf;
    /* The listener that a connection to the address arrives at; CYCLE_NONE: it leaves zproxy. */
    size_t (*find_listener)(void *arg, const struct addr *to);
    /* Address n of conf->pool[pool], and whether it has no port of its own. Returns false when
     * there is none any more. One that is not known is left out by len = 0. */
    bool (*server)(void *arg, size_t pool, size_t n, struct addr *at, bool *same_port);
    void *arg;
};

/* Whether connections to `to` come to conf->pool[pool], by listeners, routes, fallbacks and
 * servers; port: only those that come to that port in the end; 0: to any. Returns 1, 0 or -ENOMEM.
 * After 1, *steps says how, "listen a -> pool b -> listen c -> pool d", where there are more than a
 * listener and a pool, and is NULL otherwise; free() it. A chain of more than CYCLE_DEPTH_MAX
 * listeners counts as a circle. */
#define CYCLE_DEPTH_MAX 1000
int cycle_find(const struct cycle *c, size_t pool, uint16_t port, const struct addr *to,
               char **steps);

#endif
