#include "control/generation.h"

#include <stdlib.h>
#include <string.h>

static struct pool *find_pool(const void *pools, const char *name)
{
    return pools_find_any(pools, name);
}

struct generation *generation_new(unsigned number, struct config *conf, const struct pools *pools,
                                  struct entrance_list *entrances, struct gate *all)
{
    struct generation *g = calloc(1, sizeof *g);
    struct service *service = calloc(conf->listen_count, sizeof *service);
    if (g == NULL || service == NULL) {
        config_free(conf);
        free(service);
        free(g);
        return NULL;
    }
    g->number = number;
    g->conf = conf;
    g->service = service;
    for (size_t i = 0; i < conf->listen_count; i++) {
        const struct config_listen *c = &conf->listen[i];
        struct entrance *e = entrance_get(entrances, c->name, all->wake, all->arg);
        if (e == NULL) {
            generation_free(g);
            return NULL;
        }
        if (service_init(&g->service[i], c, all, e, find_pool, pools) < 0) {
            generation_free(g);
            return NULL;
        }
    }
    return g;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        service_fini(&g->service[i]);
    config_free(g->conf);
    free(g->service);
    free(g);
}

struct service *generation_service(const struct generation *g, const char *listen)
{
    for (size_t i = 0; i < g->conf->listen_count; i++)
        if (strcmp(g->conf->listen[i].name, listen) == 0)
            return &g->service[i];
    return NULL;
}

bool generation_is_idle(const struct generation *g)
{
    if (g->seen)
        return false;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        if (!service_is_idle(&g->service[i]))
            return false;
    return true;
}
