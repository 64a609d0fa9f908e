#include "command/server_view.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/health.h"
#include "balance/passive_check.h"
#include "base/human.h"
#include "base/suggestion.h"

/* ---- status ---- */

static void describe_drain(const struct drain_progress *c, uint64_t active, uint64_t left,
                           struct server_view *v)
{
    char text[HUMAN_MAX];
    char sessions[HUMAN_MAX];
    snprintf(v->why, sizeof v->why, "closing %s: %" PRIu64 " left, %" PRIu64 " closed, %s to go",
             human_count(c->sessions, "session", sessions), active, c->closed,
             human_time(left, text));
}

static void describe_down(const struct runtime *rt, const struct pool *p, const struct server *srv,
                          uint64_t now, struct server_view *v)
{
    char since[HUMAN_MAX];
    const struct health_state *found = health_find_state(rt->health, p, srv);
    if (found == NULL)
        return;
    snprintf(v->why, sizeof v->why, "%s, for %s", found->why,
             human_time(now > found->changed ? now - found->changed : 0, since));
}

static void describe_out(const struct server *srv, uint64_t now, struct server_view *v)
{
    char left[HUMAN_MAX];
    char last[SERVER_FAILURE_MAX];
    uint64_t until = atomic_load_explicit(&srv->out_until, memory_order_relaxed);
    server_failure(srv, last);
    v->status = "out";
    snprintf(v->why, sizeof v->why, "failed connects%s%s; %s%s", last[0] == '\0' ? "" : ": ", last,
             until > now ? "probed in " : "the next session probes it",
             until > now ? human_time(until - now, left) : "");
}

static void describe_up(const struct runtime *rt, const struct pool *p, const struct server *srv,
                        uint64_t now, struct server_view *v)
{
    char left[HUMAN_MAX];
    unsigned share = server_share(srv, now);
    uint64_t held = names_held_until(&rt->names, p, &srv->addr);
    if (held != 0)
        snprintf(v->why, sizeof v->why, "its name has no address any more; removed in %s",
                 human_time(held > now ? held - now : 0, left));
    else if (server_is_full(srv))
        snprintf(v->why, sizeof v->why, "full");
    else if (share < SERVER_FULL_SHARE)
        snprintf(v->why, sizeof v->why, "slow start: %u%% of its share",
                 share * 100 / SERVER_FULL_SHARE);
    else if (pool_was_added(p, srv))
        snprintf(v->why, sizeof v->why, "added at run time");
}

void server_view(const struct runtime *rt, const struct pool *p, const struct server *srv,
                 struct server_view *v)
{
    uint64_t now = uv_now(rt->loop);
    struct drain_progress progress;
    uint64_t left = 0;
    bool up = atomic_load_explicit(&srv->up, memory_order_relaxed);
    v->status = up ? "up" : "down";
    v->why[0] = '\0';
    if (drains_progress(&rt->drains, srv, &progress, &left))
        describe_drain(&progress, server_active(srv), left, v);
    else if (!up)
        describe_down(rt, p, srv, now, v);
    else if (passive_check_is_out(srv))
        describe_out(srv, now, v);
    else
        describe_up(rt, p, srv, now, v);
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

static void fail_unknown_pool(struct request *r, const char *name)
{
    const struct config *conf = runtime_conf(r->rt);
    struct suggestion near;
    suggestion_init(&near, name);
    for (size_t i = 0; i < conf->pool_count; i++)
        suggestion_offer(&near, conf->pool[i].name);
    if (near.word != NULL)
        request_fail_as(r, REQUEST_NOT_FOUND, "%s: no such pool, did you mean \"%s\"?", name,
                        near.word);
    else
        request_fail_as(r, REQUEST_NOT_FOUND, "%s: no such pool", name);
}

struct pool *server_view_find_pool(struct request *r, const char *name)
{
    struct pool *p = pools_find(&r->rt->pools, name);
    if (p == NULL)
        fail_unknown_pool(r, name);
    return p;
}

static void fail_unknown_server(struct request *r, const struct pool *p, const char *name)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    struct suggestion near;
    suggestion_init(&near, name);
    for (size_t i = 0; i < count; i++)
        suggestion_offer(&near, server_name(server[i]));
    if (near.word != NULL)
        request_fail_as(r, REQUEST_NOT_FOUND,
                        "%s: pool %s has no such server, did you mean \"%s\"?", name, pool_name(p),
                        near.word);
    else
        request_fail_as(r, REQUEST_NOT_FOUND, "%s: pool %s has no such server", name, pool_name(p));
}

static bool server_view_is_named(const struct server *srv, const char *name)
{
    char text[ADDR_TEXT_MAX];
    return server_is_named(srv, name) || strcmp(addr_print(&srv->addr, text), name) == 0;
}

static bool server_matches_find(struct request *r, struct server_matches *c, const char *name)
{
    size_t count = 0;
    struct server *const *server = pool_servers(c->pool, &count);
    c->server = calloc(count + 1, sizeof(struct server *));
    if (c->server == NULL) {
        request_fail_memory(r);
        return false;
    }
    for (size_t i = 0; i < count; i++)
        if (server_view_is_named(server[i], name))
            c->server[c->count++] = server[i];
    return true;
}

bool server_view_look_up(struct request *r, const char *text, struct server_matches *c)
{
    const char *slash = strchr(text, '/');
    memset(c, 0, sizeof *c);
    if (slash == NULL) {
        request_fail_as(r, REQUEST_USAGE, "%s: no \"/\", expected POOL/SERVER", text);
        return false;
    }
    char *pool = strndup(text, (size_t)(slash - text));
    if (pool == NULL) {
        request_fail_memory(r);
        return false;
    }
    c->pool = server_view_find_pool(r, pool);
    free(pool);
    return c->pool != NULL && server_matches_find(r, c, slash + 1);
}

bool server_view_find(struct request *r, const char *text, struct server_matches *c)
{
    if (!server_view_look_up(r, text, c))
        return false;
    if (c->count > 0)
        return true;
    fail_unknown_server(r, c->pool, strchr(text, '/') + 1);
    server_matches_free(c);
    return false;
}

void server_matches_free(struct server_matches *c)
{
    free(c->server);
    c->server = NULL;
    c->count = 0;
}
