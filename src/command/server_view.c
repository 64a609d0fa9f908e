#include "command/server_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/health.h"
#include "balance/passive.h"
#include "base/human.h"
#include "config/nearest.h"

const char *const server_view_states[] = {
    [CONFIG_STATE_READY] = "ready",
    [CONFIG_STATE_DRAIN] = "drain",
    [CONFIG_STATE_MAINT] = "maint",
    [CONFIG_STATE_MAINT + 1] = NULL,
};

/* ---- what there is to say ---- */

static void say_drain(const struct drain_course *c, uint64_t active, uint64_t left,
                      struct server_view *v)
{
    char text[HUMAN_MAX];
    snprintf(v->why, sizeof v->why,
             "closing %" PRIu64 " sessions: %" PRIu64 " left, %" PRIu64 " closed, %s to go",
             c->sessions, active, c->closed, human_time(left, text));
}

static void say_down(const struct runtime *rt, const struct pool *p, const struct backend *b,
                     uint64_t now, struct server_view *v)
{
    char since[HUMAN_MAX];
    const struct verdict *found = health_verdict(rt->health, p, b);
    if (found == NULL)
        return;
    snprintf(v->why, sizeof v->why, "%s, for %s", found->why,
             human_time(now > found->changed ? now - found->changed : 0, since));
}

static void say_out(const struct backend *b, uint64_t now, struct server_view *v)
{
    char left[HUMAN_MAX];
    uint64_t until = atomic_load(&b->out_until);
    v->status = "out";
    if (until > now)
        snprintf(v->why, sizeof v->why, "failed connects; tried again in %s",
                 human_time(until - now, left));
    else
        snprintf(v->why, sizeof v->why, "failed connects; tried again with the next session");
}

static void say_little(const struct runtime *rt, const struct pool *p, const struct backend *b,
                       uint64_t now, struct server_view *v)
{
    char left[HUMAN_MAX];
    unsigned share = backend_share(b, now);
    uint64_t held = names_held_until(&rt->names, p, &b->addr);
    if (held != 0)
        snprintf(v->why, sizeof v->why, "its name has no address any more; removed in %s",
                 human_time(held > now ? held - now : 0, left));
    else if (backend_is_full(b))
        snprintf(v->why, sizeof v->why, "full");
    else if (share < BACKEND_FULL_SHARE)
        snprintf(v->why, sizeof v->why, "slow start: %u%% of its share",
                 share * 100 / BACKEND_FULL_SHARE);
    else if (pool_was_added(p, b))
        snprintf(v->why, sizeof v->why, "added at run time");
}

void server_view(const struct runtime *rt, const struct pool *p, const struct backend *b,
                 struct server_view *v)
{
    uint64_t now = uv_now(rt->loop);
    struct drain_course course;
    uint64_t left = 0;
    v->status = atomic_load(&b->up) ? "up" : "down";
    v->why[0] = '\0';
    if (drains_progress(&rt->drains, b, &course, &left))
        say_drain(&course, backend_active(b), left, v);
    else if (!atomic_load(&b->up))
        say_down(rt, p, b, now, v);
    else if (passive_is_out(b))
        say_out(b, now, v);
    else
        say_little(rt, p, b, now, v);
}

/* ---- names ---- */

void server_view_put(struct sheet *s, const char *pool, const char *name)
{
    char *both = NULL;
    if (name != NULL && asprintf(&both, "%s/%s", pool, name) < 0)
        both = NULL;
    sheet_text(s, name == NULL ? pool : both);
    sheet_text(s, pool);
    sheet_text(s, name);
    free(both);
}

static void say_pool(const struct runtime *rt, const char *name, char **why)
{
    const struct config *conf = runtime_conf(rt);
    struct nearest near;
    nearest_init(&near, name);
    for (size_t i = 0; i < conf->pool_count; i++)
        nearest_offer(&near, conf->pool[i].name);
    int rc = near.word != NULL
                 ? asprintf(why, "%s: no such pool, did you mean \"%s\"?", name, near.word)
                 : asprintf(why, "%s: no such pool", name);
    if (rc < 0)
        *why = NULL;
}

struct pool *server_choose_pool(const struct runtime *rt, const char *name, char **why)
{
    struct pool *p = pools_find(&rt->pools, name);
    if (p == NULL)
        say_pool(rt, name, why);
    return p;
}

static void say_server(struct backend *const *server, size_t count, const char *pool,
                       const char *name, char **why)
{
    struct nearest near;
    nearest_init(&near, name);
    for (size_t i = 0; i < count; i++)
        nearest_offer(&near, backend_name(server[i]));
    int rc = near.word != NULL
                 ? asprintf(why, "%s: pool %s has no such server, did you mean \"%s\"?", name, pool,
                            near.word)
                 : asprintf(why, "%s: pool %s has no such server", name, pool);
    if (rc < 0)
        *why = NULL;
}

static bool is_meant(const struct backend *b, const char *name)
{
    char text[ADDR_TEXT_MAX];
    return backend_is_named(b, name) || strcmp(addr_print(&b->addr, text), name) == 0;
}

static int choose(struct server_choice *c, const char *name, char **why)
{
    size_t count = 0;
    struct backend *const *server = pool_servers(c->pool, &count);
    c->server = calloc(count + 1, sizeof(struct backend *));
    if (c->server == NULL)
        return -1;
    for (size_t i = 0; i < count; i++)
        if (is_meant(server[i], name))
            c->server[c->count++] = server[i];
    if (c->count > 0)
        return 0;
    say_server(server, count, pool_name(c->pool), name, why);
    server_choice_free(c);
    return -1;
}

int server_choose(const struct runtime *rt, const char *text, struct server_choice *c, char **why)
{
    const char *slash = strchr(text, '/');
    char *pool = slash == NULL ? NULL : strndup(text, (size_t)(slash - text));
    memset(c, 0, sizeof *c);
    *why = NULL;
    if (slash == NULL && asprintf(why, "%s: no \"/\", expected POOL/SERVER", text) < 0)
        *why = NULL;
    if (pool == NULL)
        return -1;
    c->pool = server_choose_pool(rt, pool, why);
    free(pool);
    return c->pool == NULL ? -1 : choose(c, slash + 1, why);
}

void server_choice_free(struct server_choice *c)
{
    free(c->server);
    c->server = NULL;
    c->count = 0;
}
