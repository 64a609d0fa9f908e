#include "control/healthz.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const health_override_words[] = {
    [HEALTH_AUTO] = "auto", [HEALTH_SET_OK] = "ok", [HEALTH_SET_FAIL] = "fail", NULL
};

/* Whether a pool can serve clients. */
enum availability {
    AVAILABILITY_UNKNOWN, /* not computed yet */
    AVAILABILITY_NONE,
    AVAILABILITY_UNRESOLVED, /* no server yet: names have had no answer */
    AVAILABILITY_UNCHECKED,  /* only by servers that wait for their first check */
    AVAILABILITY_SERVER,     /* by a usable server or a file */
};

/* ---- pools ---- */

static enum availability server_availability(const struct runtime *rt, const struct pool *p,
                                             const struct server *srv)
{
    if (!server_is_usable(srv, uv_now(rt->loop)))
        return AVAILABILITY_NONE;
    const struct health_state *result =
        rt->health == NULL ? NULL : health_find_state(rt->health, p, srv);
    return result != NULL && result->checked == 0 ? AVAILABILITY_UNCHECKED : AVAILABILITY_SERVER;
}

/* Whether clients of a pool without a usable server can wait for one: then they must not be turned
 * away in front of zproxy. After queue_timeout such a wait would have been in vain. */
static bool may_wait(struct pool *p, uint64_t now)
{
    if (pool_is_paused(p) || !pool_waits_when_down(p))
        return pool_is_paused(p);
    uint64_t last_usable = pool_last_usable(p, now);
    uint64_t timeout = pool_conf(p)->queue_timeout;
    return last_usable != 0 && (timeout == 0 || now < last_usable + timeout);
}

static enum availability pool_availability(const struct runtime *rt, struct pool *p)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    bool waits = may_wait(p, uv_now(rt->loop)); /* in any case: it notes usable servers */
    if (pool_is_closed(p))
        return AVAILABILITY_NONE;
    enum availability best = pool_file(p) != NULL              ? AVAILABILITY_SERVER
                             : names_pool_waits(&rt->names, p) ? AVAILABILITY_UNRESOLVED
                                                               : AVAILABILITY_NONE;
    for (size_t i = 0; i < count && best != AVAILABILITY_SERVER; i++) {
        enum availability one = server_availability(rt, p, server[i]);
        best = one > best ? one : best;
    }
    return best <= AVAILABILITY_UNRESOLVED && waits ? AVAILABILITY_SERVER : best;
}

/* The best of a pool and its fallbacks. found: the results so far, by the index of the pool. */
static enum availability pool_chain_availability(const struct runtime *rt,
                                                 const struct config_pool *p,
                                                 enum availability *found)
{
    const struct config *conf = runtime_conf(rt);
    enum availability best = AVAILABILITY_NONE;
    for (size_t depth = 0; p != NULL && depth <= conf->pool_count; depth++, p = p->fallback) {
        enum availability *one = &found[p - conf->pool];
        if (*one == AVAILABILITY_UNKNOWN)
            *one = pool_availability(rt, pools_find(&rt->pools, p->name));
        best = *one > best ? *one : best;
    }
    return best;
}

static enum availability listener_availability(const struct runtime *rt,
                                               const struct config_listen *l,
                                               enum availability *found)
{
    enum availability best = pool_chain_availability(rt, l->pool, found);
    for (size_t i = 0; i < l->route_count && best != AVAILABILITY_SERVER; i++) {
        enum availability one = pool_chain_availability(rt, l->route[i].pool, found);
        best = one > best ? one : best;
    }
    return best;
}

static enum availability *availability_of_pools(const struct runtime *rt)
{
    return calloc(runtime_conf(rt)->pool_count + 1, sizeof(enum availability));
}

static enum availability best_availability(const struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    enum availability best = AVAILABILITY_NONE;
    enum availability *found = availability_of_pools(rt);
    if (found == NULL)
        return AVAILABILITY_SERVER; /* out of memory is not reported as ill health */
    for (size_t i = 0; i < conf->listen_count && best != AVAILABILITY_SERVER; i++) {
        enum availability one = listener_availability(rt, &conf->listen[i], found);
        best = one > best ? one : best;
    }
    free(found);
    return best;
}

/* ---- the health ---- */

/* The part of the health that does not depend on servers; HEALTHZ_OK: they decide. */
static enum healthz phase_health(const struct runtime *rt)
{
    if (rt->draining)
        return HEALTHZ_DRAINING;
    if (rt->leaving)
        return HEALTHZ_LEAVING;
    return rt->current == NULL || rt->workers.started == 0 ? HEALTHZ_STARTING : HEALTHZ_OK;
}

/* A value set by zproxyctl counts before the workers run as well. */
static enum healthz override_health(enum healthz health, enum health_override set)
{
    if (set == HEALTH_AUTO || health == HEALTHZ_DRAINING || health == HEALTHZ_LEAVING)
        return health;
    return set == HEALTH_SET_OK ? HEALTHZ_OK : HEALTHZ_FAIL;
}

/* A server without a result of a check does not change the health: it counts as usable if clients
 * could be served before. After they could not be served, only a result makes it healthy again. */
static enum healthz availability_health(enum availability best, bool *was_healthy)
{
    *was_healthy = best == AVAILABILITY_SERVER || (best == AVAILABILITY_UNCHECKED && *was_healthy);
    if (*was_healthy)
        return HEALTHZ_OK;
    return best == AVAILABILITY_NONE ? HEALTHZ_NO_SERVER : HEALTHZ_STARTING;
}

enum healthz healthz_of_process(struct runtime *rt)
{
    enum healthz health = phase_health(rt);
    if (health == HEALTHZ_OK)
        health = availability_health(best_availability(rt), &rt->was_healthy);
    return override_health(health, rt->health_override);
}

/* i: the index of the listener. */
static enum healthz one_listener_health(const struct runtime *rt, size_t i,
                                        enum availability *found)
{
    struct listener_state *e = rt->current->frontend[i].listener_state;
    enum healthz health = phase_health(rt);
    if (health == HEALTHZ_OK)
        health = availability_health(listener_availability(rt, &runtime_conf(rt)->listen[i], found),
                                     &e->was_healthy);
    return override_health(health, e->health_override != HEALTH_AUTO ? e->health_override
                                                                     : rt->health_override);
}

int healthz_of_listener(struct runtime *rt, const char *name, enum healthz *health)
{
    if (rt->current == NULL)
        return -EAGAIN;
    const struct config *conf = runtime_conf(rt);
    for (size_t i = 0; i < conf->listen_count; i++) {
        if (strcmp(conf->listen[i].name, name) != 0)
            continue;
        enum availability *found = availability_of_pools(rt);
        *health = found == NULL ? HEALTHZ_OK : one_listener_health(rt, i, found);
        free(found);
        return 0;
    }
    return -ENOENT;
}

enum healthz *healthz_of_listeners(struct runtime *rt)
{
    size_t count = runtime_conf(rt)->listen_count;
    enum healthz *health = calloc(count + 1, sizeof *health);
    enum availability *found = availability_of_pools(rt);
    for (size_t i = 0; health != NULL && found != NULL && i < count; i++)
        health[i] = one_listener_health(rt, i, found);
    if (found == NULL) {
        free(health);
        health = NULL;
    }
    free(found);
    return health;
}

void healthz_remember(struct runtime *rt)
{
    (void)healthz_of_process(rt);
    free(healthz_of_listeners(rt));
}

const char *healthz_name(enum healthz health)
{
    switch (health) {
    case HEALTHZ_OK:
        return "ok";
    case HEALTHZ_STARTING:
        return "starting";
    case HEALTHZ_LEAVING:
        return "leaving";
    case HEALTHZ_DRAINING:
        return "draining";
    case HEALTHZ_NO_SERVER:
        return "no server";
    case HEALTHZ_FAIL:
        return "fail";
    }
    return "unknown";
}
