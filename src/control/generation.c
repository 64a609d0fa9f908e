#include "control/generation.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/tls_contexts.h"

static struct pool *generation_find_pool(const void *pools, const char *name)
{
    return pools_find_any(pools, name);
}

struct generation *generation_new(unsigned number, struct config *conf)
{
    struct generation *g = calloc(1, sizeof *g);
    struct frontend *frontend = calloc(conf->listen_count + 1, sizeof *frontend);
    if (g == NULL || frontend == NULL) {
        config_free(conf);
        free(frontend);
        free(g);
        return NULL;
    }
    g->number = number;
    g->conf = conf;
    g->frontend = frontend;
    return g;
}

int generation_init_frontends(struct generation *g, const struct pools *pools,
                              struct listener_state_list *listener_states, struct conn_limit *all)
{
    for (size_t i = 0; i < g->conf->listen_count; i++) {
        const struct config_listen *c = &g->conf->listen[i];
        struct listener_state *e =
            listener_state_get(listener_states, c->name, all->wake, all->arg);
        if (e == NULL || frontend_init(&g->frontend[i], c, all, e, generation_find_pool, pools) < 0)
            return -ENOMEM;
    }
    return 0;
}

void generation_free(struct generation *g)
{
    if (g == NULL)
        return;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        frontend_fini(&g->frontend[i]);
    tls_contexts_free(g->conf);
    config_free(g->conf);
    free(g->frontend);
    free(g);
}

bool generation_has_sessions(const struct generation *g)
{
    for (size_t i = 0; i < g->conf->listen_count; i++)
        if (!frontend_is_idle(&g->frontend[i]))
            return true;
    return false;
}

bool generation_is_used(const struct generation *g)
{
    return g->visible || generation_has_sessions(g);
}

bool generation_has_pool(const struct generation *g, const char *pool)
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
