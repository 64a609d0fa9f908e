#include "control/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct pool *find_pool(const void *pools, const char *name)
{
    return pools_find_any(pools, name);
}

struct generation *generation_new(unsigned number, struct config *conf)
{
    struct generation *g = calloc(1, sizeof *g);
    struct service *service = calloc(conf->listen_count + 1, sizeof *service);
    if (g == NULL || service == NULL) {
        config_free(conf);
        free(service);
        free(g);
        return NULL;
    }
    g->number = number;
    g->conf = conf;
    g->service = service;
    return g;
}

int generation_open(struct generation *g, const struct pools *pools,
                    struct entrance_list *entrances, struct gate *all)
{
    for (size_t i = 0; i < g->conf->listen_count; i++) {
        const struct config_listen *c = &g->conf->listen[i];
        struct entrance *e = entrance_get(entrances, c->name, all->wake, all->arg);
        if (e == NULL || service_init(&g->service[i], c, all, e, find_pool, pools) < 0)
            return -ENOMEM;
    }
    return 0;
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

bool generation_has_sessions(const struct generation *g)
{
    for (size_t i = 0; i < g->conf->listen_count; i++)
        if (!service_is_idle(&g->service[i]))
            return true;
    return false;
}

bool generation_is_busy(const struct generation *g)
{
    return g->seen || generation_has_sessions(g);
}

bool generation_names(const struct generation *g, const char *pool)
{
    for (size_t i = 0; i < g->conf->pool_count; i++)
        if (strcmp(g->conf->pool[i].name, pool) == 0)
            return true;
    return false;
}

bool generation_has_settings(const struct generation *g, const struct config_pool *settings)
{
    return settings >= g->conf->pool && settings < g->conf->pool + g->conf->pool_count;
}
