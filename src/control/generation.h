/* One configuration in force, and the services of its listeners. Sessions keep the one they began
 * with; it is freed when its last session has ended and no worker can see it. */
#ifndef ZPROXY_CONTROL_GENERATION_H
#define ZPROXY_CONTROL_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "config/config.h"
#include "control/pools.h"
#include "session/frontend.h"

struct generation {
    LIST_ENTRY(generation) in_all;
    unsigned number; /* 1 is the one that the process began with */
    struct config *conf;
    struct frontend *frontend; /* of conf->listen[i] */
    bool visible;              /* workers may still see it, though it is no longer in force */
};

LIST_HEAD(generation_list, generation);

/* Without services yet. Takes conf over, also on failure. NULL when out of memory. */
struct generation *generation_new(unsigned number, struct config *conf);
void generation_free(struct generation *g);

/* Makes the services; the pools must be there already. Returns 0 or -ENOMEM. */
int generation_init_frontends(struct generation *g, const struct pools *pools,
                              struct listener_state_list *listener_states, struct conn_limit *all);

bool generation_has_sessions(const struct generation *g);

/* A session keeps it, or a worker can see it: then its pools are to stay as well, to which routes
 * and the servers' failure may still send somebody. */
bool generation_is_used(const struct generation *g);

/* Whether it names a pool; whether the settings are in it by which a pool goes. */
bool generation_has_pool(const struct generation *g, const char *pool);
bool generation_has_settings(const struct generation *g, const struct config_pool *settings);

#endif
