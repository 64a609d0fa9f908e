#include "control/names.h"

#include <string.h>

#include "base/log.h"
#include "control/cycles.h"

#define WAIT_MS 5000

static const struct config_server *first_named_server(const struct config_pool *pool)
{
    for (size_t i = 0; i < pool->server_count; i++)
        if (pool->server[i].host != NULL)
            return &pool->server[i];
    return NULL;
}

static bool has_names(const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++)
        if (first_named_server(&conf->pool[i]) != NULL)
            return true;
    return false;
}

static void print_unsupported(const struct config_pool *pool, const char *file, FILE *errors)
{
    const struct config_server *s = first_named_server(pool);
    if (s == NULL)
        return;
    if (file != NULL)
        fprintf(errors, "%s: ", file);
    fprintf(errors,
            "[pool %s] server: \"%s\" is a name, and this zproxy was built without c-ares; "
            "expected an address\n",
            pool->name, s->host);
}

bool names_are_supported(const struct config *conf, const char *file, FILE *errors)
{
    if (resolver_is_built() || !has_names(conf))
        return true;
    for (size_t i = 0; i < conf->pool_count; i++)
        print_unsupported(&conf->pool[i], file, errors);
    return false;
}

bool names_describe_hashed(const struct config_pool *pool, char *text, size_t size)
{
    size_t named = 0;
    if (pool->balance != CONFIG_BALANCE_HASH || first_named_server(pool) == NULL)
        return false;
    for (size_t i = 0; i < pool->server_count; i++)
        named += pool->server[i].host != NULL;
    snprintf(text, size,
             "the table is made of names (name=, or the address as written) and addresses, and %zu "
             "of %zu server lines are resolved, first %s: machines agree only while they write the "
             "same names and resolve them to the same addresses; compare table in \"zproxyctl show "
             "pools\"",
             named, pool->server_count, first_named_server(pool)->name);
    return true;
}

static void log_hashed(const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        struct log_line line;
        char text[NAMES_TEXT_MAX];
        if (!log_is_enabled(LOG_LEVEL_NOTICE) ||
            !names_describe_hashed(&conf->pool[i], text, sizeof text))
            continue;
        log_begin(&line, LOG_LEVEL_NOTICE, "hash_names");
        log_str(&line, "pool", conf->pool[i].name);
        log_str(&line, "msg", text);
        log_end(&line);
    }
}

static bool names_is_usable(void *arg, const struct pool *p, const struct addr *a)
{
    const struct names *n = arg;
    return !cycles_would_form(n->conf, n->pools, p, a, false);
}

static void names_on_ready(void *arg)
{
    names_wait_stop(arg);
}

static const struct resolver_ops ops = { names_is_usable, names_on_ready };

void names_init(struct names *n, uv_loop_t *loop)
{
    *n = (struct names){ .loop = loop };
    deadline_init(&n->deadline, loop);
    n->deadline.timer.data = n;
}

void names_close(struct names *n)
{
    if (n->resolver != NULL)
        resolver_close(n->resolver);
    n->resolver = NULL;
}

int names_prepare(struct names *n, const struct config *conf, FILE *errors)
{
    if (!has_names(conf) || n->resolver != NULL)
        return 0;
    if (!names_are_supported(conf, NULL, errors))
        return -1;
    int rc = resolver_new(&n->resolver, n->loop, &conf->global, &ops, n);
    if (rc < 0)
        fprintf(errors, "[global] nameserver: %s\n", strerror(-rc));
    return rc < 0 ? -1 : 0;
}

static void sync_pool(struct names *n, struct pool *p)
{
    if (resolver_sync(n->resolver, p) < 0)
        log_msg(LOG_LEVEL_ERROR, "resolve_failed", "pool %s: out of memory, names are missing",
                pool_name(p));
}

/* Only a lack of memory can fail here. The configuration is in force already, so it goes on. */
void names_commit(struct names *n, const struct config *conf, const struct pools *pools)
{
    bool first = n->conf == NULL;
    n->conf = conf;
    n->pools = pools;
    if (n->resolver == NULL)
        return;
    if (!first && resolver_configure(n->resolver, &conf->global) < 0)
        log_msg(LOG_LEVEL_ERROR, "resolve_failed",
                "out of memory, the name servers have not been changed");
    for (size_t i = 0; i < conf->pool_count; i++) {
        struct pool *p = pools_find(pools, conf->pool[i].name);
        if (p != NULL)
            sync_pool(n, p);
    }
    log_hashed(conf);
}

void names_remove_pool(struct names *n, const struct pool *pool)
{
    if (n->resolver != NULL)
        resolver_remove_pool(n->resolver, pool);
}

bool names_pool_waits(const struct names *n, const struct pool *pool)
{
    return n->resolver != NULL && resolver_pool_waits(n->resolver, pool);
}

void names_each(const struct names *n, resolver_each_fn *each, void *arg)
{
    if (n->resolver != NULL)
        resolver_each(n->resolver, each, arg);
}

uint64_t names_held_until(const struct names *n, const struct pool *pool, const struct addr *at)
{
    return n->resolver == NULL ? 0 : resolver_held_until(n->resolver, pool, at);
}

static void names_on_deadline(uv_timer_t *timer)
{
    names_wait_stop(timer->data);
}

void names_wait(struct names *n)
{
    if (n->resolver == NULL || resolver_ready(n->resolver))
        return;
    n->waiting = true;
    deadline_start(&n->deadline, names_on_deadline, WAIT_MS);
    uv_run(n->loop, UV_RUN_DEFAULT);
    deadline_stop(&n->deadline);
}

void names_wait_stop(struct names *n)
{
    if (n->waiting)
        uv_stop(n->loop);
    n->waiting = false;
}
