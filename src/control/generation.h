/* A generation: one configuration that is or was in force, with its frontends. A session keeps the
 * generation that it began with. An old one is freed when its last session has ended and no worker
 * can use it any more. For the control thread. */
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
    unsigned number; /* 1: the first one of the process */
    struct config *conf;
    struct frontend *frontend; /* of conf->listen[i] */
    bool visible;              /* not in force any more, but workers may still use it */
};

LIST_HEAD(generation_list, generation);

/* Makes a generation without frontends. Takes ownership of conf, also on failure. Returns NULL when
 * out of memory. */
struct generation *generation_new(unsigned number, struct config *conf);
void generation_free(struct generation *g);

/* Makes the frontends; their pools must exist. Returns 0 or -ENOMEM. */
int generation_init_frontends(struct generation *g, const struct pools *pools,
                              struct listener_state_list *listener_states, struct conn_limit *all);

bool generation_has_sessions(const struct generation *g);

/* Whether a session has the generation or a worker may use it. Then its pools must stay too, since
 * its routes and fallbacks may still send sessions to them. */
bool generation_is_used(const struct generation *g);

/* Whether the configuration has a pool of this name; whether these settings are part of it. */
bool generation_has_pool(const struct generation *g, const char *pool);
bool generation_has_settings(const struct generation *g, const struct config_pool *settings);

#endif
