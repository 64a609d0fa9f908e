#include "control/names.h"

#include <string.h>

#include "base/log.h"

#define WAIT_MS 5000

static const struct config_server *first_name(const struct config_pool *pool)
{
    for (size_t i = 0; i < pool->server_count; i++)
        if (pool->server[i].host != NULL)
            return &pool->server[i];
    return NULL;
}

static bool has_names(const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++)
        if (first_name(&conf->pool[i]) != NULL)
            return true;
    return false;
}

bool names_are_resolvable(const struct config *conf, const char *file, FILE *errors)
{
    if (resolver_is_built())
        return true;
    for (size_t i = 0; i < conf->pool_count; i++) {
        const struct config_server *s = first_name(&conf->pool[i]);
        if (s != NULL)
            fprintf(errors,
                    "%s: [pool %s] server: \"%s\" is a name, and this zproxy was built "
                    "without c-ares; expected an address\n",
                    file, conf->pool[i].name, s->host);
    }
    return !has_names(conf);
}

/* A server at an address of our own would be a loop. */
static bool is_usable(void *arg, const struct addr *a)
{
    const struct runtime *rt = arg;
    const struct listen_socket *ls;
    TAILQ_FOREACH(ls, &rt->sockets.all, in_list)
        if (addr_reaches(a, &ls->at))
            return false;
    return true;
}

static void on_ready(void *arg)
{
    names_wait_no_longer(arg);
}

int names_prepare(struct runtime *rt, const struct config *conf)
{
    static const struct resolver_ops ops = { is_usable, on_ready };
    if (rt->resolver != NULL || !has_names(conf))
        return 0;
    return resolver_new(&rt->resolver, rt->loop, &conf->global, &ops, rt);
}

void names_follow(struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    if (rt->resolver == NULL)
        return;
    int rc = resolver_configure(rt->resolver, &conf->global);
    if (rc < 0)
        log_msg(LOG_LEVEL_ERROR, "names", "name servers stay as they were: %s", strerror(-rc));
    for (size_t i = 0; i < conf->pool_count; i++) {
        struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        if (p != NULL && resolver_sync(rt->resolver, p) < 0)
            log_msg(LOG_LEVEL_ERROR, "names",
                    "[pool %s]: out of memory: not all names are resolved", conf->pool[i].name);
    }
}

void names_forget(struct runtime *rt, const struct pool *p)
{
    if (rt->resolver != NULL)
        resolver_forget(rt->resolver, p);
}

static void on_deadline(uv_timer_t *timer)
{
    names_wait_no_longer(timer->data);
}

void names_wait(struct runtime *rt)
{
    uv_timer_t deadline;
    if (rt->resolver == NULL || resolver_ready(rt->resolver))
        return;
    rt->waits_for_names = true;
    uv_timer_init(rt->loop, &deadline);
    deadline.data = rt;
    uv_timer_start(&deadline, on_deadline, WAIT_MS, 0);
    uv_run(rt->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&deadline, NULL);
    uv_run(rt->loop, UV_RUN_NOWAIT); /* the handle is on this stack */
}

void names_wait_no_longer(struct runtime *rt)
{
    if (rt->waits_for_names)
        uv_stop(rt->loop);
    rt->waits_for_names = false;
}

void names_close(struct runtime *rt)
{
    if (rt->resolver != NULL)
        resolver_close(rt->resolver);
    rt->resolver = NULL;
}
