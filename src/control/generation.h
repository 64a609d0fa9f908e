/* One configuration in force, and the services of its listeners. Sessions keep the one they began
 * with; it is freed when its last session has ended and no worker can see it. */
#ifndef ZPROXY_CONTROL_GENERATION_H
#define ZPROXY_CONTROL_GENERATION_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "config/config.h"
#include "control/pools.h"
#include "session/service.h"

struct generation {
    LIST_ENTRY(generation) in_all;
    unsigned number; /* 1 is the one that the process began with */
    struct config *conf;
    struct service *service; /* of conf->listen[i] */
    bool seen;               /* workers may still see it, though it is no longer in force */
};

LIST_HEAD(generation_list, generation);

/* Takes conf over, also on failure. The pools must be there already. NULL when out of memory. */
struct generation *generation_new(unsigned number, struct config *conf, const struct pools *pools,
                                  struct entrance_list *entrances, struct gate *all);
void generation_free(struct generation *g);

struct service *generation_service(const struct generation *g, const char *listen);

/* No session keeps it, and no worker can see it. */
bool generation_is_idle(const struct generation *g);

#endif
