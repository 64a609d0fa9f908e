#include "control/names.h"

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
    const struct names *n = arg;
    for (size_t i = 0; i < n->conf->listen_count; i++) {
        const struct config_listen *l = &n->conf->listen[i];
        for (size_t j = 0; j < l->bind_count; j++)
            if (addr_reaches(a, &l->bind[j]))
                return false;
    }
    return true;
}

static void on_ready(void *arg)
{
    names_wait_no_longer(arg);
}

static const struct resolver_ops ops = { is_usable, on_ready };

int names_open(struct names *n, uv_loop_t *loop, const struct config *conf,
               struct pool *const *pools)
{
    *n = (struct names){ .conf = conf, .loop = loop };
    if (!has_names(conf))
        return 0;
    int rc = resolver_new(&n->resolver, loop, &conf->global, &ops, n);
    if (rc < 0)
        return rc;
    uv_timer_init(loop, &n->deadline);
    n->deadline.data = n;
    for (size_t i = 0; rc == 0 && i < conf->pool_count; i++)
        rc = resolver_sync(n->resolver, pools[i]);
    return rc;
}

static void on_deadline(uv_timer_t *timer)
{
    names_wait_no_longer(timer->data);
}

void names_wait(struct names *n)
{
    if (n->resolver == NULL || resolver_ready(n->resolver))
        return;
    n->waiting = true;
    uv_timer_start(&n->deadline, on_deadline, WAIT_MS, 0);
    uv_run(n->loop, UV_RUN_DEFAULT);
    uv_timer_stop(&n->deadline);
}

void names_wait_no_longer(struct names *n)
{
    if (n->waiting)
        uv_stop(n->loop);
    n->waiting = false;
}

void names_close(struct names *n)
{
    if (n->resolver != NULL)
        resolver_close(n->resolver);
    n->resolver = NULL;
}
