#include "pool_rig.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

static uint64_t on_now(void *arg)
{
    const struct pool_rig *r = arg;
    return atomic_load(&r->now);
}

static void on_changed(void *arg, struct pool *p)
{
    struct pool_rig *r = arg;
    (void)p;
    r->changed++;
}

static void on_untidy(void *arg)
{
    struct pool_rig *r = arg;
    r->untidy++;
}

const struct config_pool *pool_rig_conf(struct pool_rig *r, const char *lines)
{
    char text[4096];
    ck_assert_uint_lt(r->conf_count, POOL_RIG_CONFIGS);
    snprintf(text, sizeof text, LISTEN "[pool p]\n%s", lines);
    struct config *c = load_good(text);
    r->conf[r->conf_count++] = c;
    return &c->pool[0];
}

void pool_rig_open(struct pool_rig *r, const char *lines)
{
    memset(r, 0, sizeof *r);
    log_set_level(LOG_LEVEL_ERROR);
    grace_init(&r->grace);
    atomic_store(&r->now, 100000);
    const struct pool_events events = { on_now, on_changed, on_untidy, r };
    r->pool = pool_new(pool_rig_conf(r, lines), &r->grace, &events);
    ck_assert_ptr_nonnull(r->pool);
    r->changed = 0;
}

void pool_rig_close(struct pool_rig *r)
{
    pool_rig_tidy(r);
    ck_assert(pool_is_idle(r->pool));
    size_t count = 0;
    struct server *const *servers = pool_servers(r->pool, &count);
    for (size_t i = 0; i < count; i++)
        ck_assert_uint_eq(server_active(servers[i]), 0);
    pool_free(r->pool);
    grace_fini(&r->grace);
    for (size_t i = 0; i < r->conf_count; i++)
        config_free(r->conf[i]);
}

int pool_rig_put(struct pool_rig *r, const struct config_pool *conf)
{
    struct pool_update *update = NULL;
    int rc = pool_prepare(r->pool, conf, &update);
    if (rc == 0)
        pool_commit(update);
    return rc;
}

void pool_rig_update(struct pool_rig *r, const char *lines)
{
    ck_assert_int_eq(pool_rig_put(r, pool_rig_conf(r, lines)), 0);
    pool_rig_tidy(r);
}

void pool_rig_tidy(struct pool_rig *r)
{
    for (int i = 0; i < 4; i++) { /* the set, and then the servers removed with it */
        grace_reclaim(&r->grace);
        pool_tidy(r->pool);
    }
    grace_reclaim(&r->grace);
}

struct server *pool_rig_server(const struct pool_rig *r, const char *name)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(r->pool, &count);
    for (size_t i = 0; i < count; i++)
        if (server_is_named(servers[i], name))
            return servers[i];
    return NULL;
}

struct server *pool_rig_pick(struct pool_rig *r, const struct pool_tried *tried)
{
    enum pool_refusal refusal = POOL_NO_SERVER;
    const struct pick_request request = { .now = atomic_load(&r->now), .tried = tried };
    return pool_pick(r->pool, &request, &refusal);
}

void pool_rig_release(struct pool_rig *r, struct server *srv)
{
    pool_release(r->pool, srv, atomic_load(&r->now));
}
