#include "metrics/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/keys.h"

/* ---- servers ---- */

static void take_check(const struct runtime *rt, const struct pool *p, const struct backend *b,
                       struct snapshot_check *c)
{
    const struct verdict *v = rt->health == NULL ? NULL : health_verdict(rt->health, p, b);
    uint64_t now = uv_now(rt->loop);
    if (v == NULL || v->checked == 0)
        return;
    *c = (struct snapshot_check){
        .has = true,
        .passed = v->passed,
        .passes = v->successes,
        .failures = v->failures,
        .duration = v->duration,
        .age = now > v->checked ? now - v->checked : 0,
        .why = v->why,
    };
}

static void take_server(const struct runtime *rt, const struct pool *p, const struct backend *b,
                        struct snapshot_server *s)
{
    s->name = backend_name(b);
    addr_print(&b->addr, s->address);
    s->state = (enum config_state)atomic_load(&b->state);
    server_view(rt, p, b, &s->view);
    s->up = strcmp(s->view.status, "up") == 0;
    s->backup = pool_is_backup(p, b);
    s->weight = backend_weight(b);
    s->active = backend_active(b);
    s->max_connections = atomic_load(&b->max_connections);
    s->connections = atomic_load(&b->connections);
    s->failures = atomic_load(&b->failures);
    s->received = atomic_load(&b->received);
    s->sent = atomic_load(&b->sent);
    take_check(rt, p, b, &s->check);
}

static int take_servers(const struct runtime *rt, const struct pool *p, struct snapshot_pool *sp)
{
    struct backend *const *server = pool_servers(p, &sp->server_count);
    sp->server = calloc(sp->server_count + 1, sizeof *sp->server);
    if (sp->server == NULL) {
        sp->server_count = 0;
        return -ENOMEM;
    }
    for (size_t i = 0; i < sp->server_count; i++)
        take_server(rt, p, server[i], &sp->server[i]);
    return 0;
}

/* ---- pools ---- */

void snapshot_sums(const struct pool *p, uint64_t now, struct snapshot_sums *sums)
{
    size_t count = 0;
    struct backend *const *server = pool_servers(p, &count);
    *sums = (struct snapshot_sums){
        .sessions = pool_sessions(p),
        .waiting = pool_waiting(p),
        .failures = pool_failures(p),
    };
    for (size_t i = 0; i < count; i++) {
        const struct backend *b = server[i];
        sums->connections += atomic_load_explicit(&b->connections, memory_order_relaxed);
        sums->connect_failures += atomic_load_explicit(&b->failures, memory_order_relaxed);
        sums->received += atomic_load_explicit(&b->received, memory_order_relaxed);
        sums->sent += atomic_load_explicit(&b->sent, memory_order_relaxed);
        sums->usable += backend_is_usable(b, now);
    }
}

static const char *balance_name(enum config_balance balance)
{
    switch (balance) {
    case CONFIG_BALANCE_ROUND_ROBIN:
        return "round_robin";
    case CONFIG_BALANCE_LEAST_CONN:
        return "least_conn";
    case CONFIG_BALANCE_RANDOM:
        return "random";
    case CONFIG_BALANCE_HASH:
        return "hash";
    case CONFIG_BALANCE_FIRST:
        return "first";
    }
    return "unknown";
}

static int take_pool(const struct runtime *rt, const struct pool *p, struct snapshot_pool *sp)
{
    const struct config_pool *conf = pool_conf(p);
    const struct pool *fallback = pool_fallback(p);
    sp->name = pool_name(p);
    sp->fallback = fallback == NULL ? NULL : pool_name(fallback);
    sp->file = conf->file;
    sp->balance = balance_name(conf->balance);
    snapshot_sums(p, uv_now(rt->loop), &sp->sums);
    sp->severity = problems_of_pool(p, uv_now(rt->loop), NULL);
    return take_servers(rt, p, sp);
}

static int take_pools(const struct runtime *rt, struct snapshot *s)
{
    const struct config *conf = runtime_conf(rt);
    s->pool = calloc(conf->pool_count + 1, sizeof *s->pool);
    int rc = s->pool == NULL ? -ENOMEM : 0;
    while (rc == 0 && s->pool_count < conf->pool_count) {
        const struct pool *p = pools_find(&rt->pools, conf->pool[s->pool_count].name);
        rc = take_pool(rt, p, &s->pool[s->pool_count++]);
    }
    return rc;
}

/* ---- listeners, workers ---- */

static void take_listener(const struct service *service, struct snapshot_listener *l)
{
    const struct entrance *e = service->entrance;
    l->name = service->conf->name;
    l->pool = pool_name(service->pool);
    l->bind = keys_text(&keys_sections[SECTION_LISTEN], service->conf, "bind");
    l->active = gate_inside(&e->gate);
    l->max_connections = service->conf->max_connections;
    l->paused = accept_watch_reason(e);
    l->connections = atomic_load(&e->connections);
    for (int i = 0; i < SESSION_ENDS; i++)
        l->refused[i] = atomic_load(&e->refused[i]);
}

static int take_listeners(const struct runtime *rt, struct snapshot *s)
{
    const struct generation *g = rt->current;
    s->listener_count = g->conf->listen_count;
    s->listener = calloc(s->listener_count + 1, sizeof *s->listener);
    if (s->listener == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->listener_count; i++)
        take_listener(&g->service[i], &s->listener[i]);
    s->paused = accept_watch_process(&rt->accept_watch);
    return 0;
}

static int take_workers(const struct runtime *rt, struct snapshot *s)
{
    s->workers = rt->crew.at_work;
    s->worker_count = crew_running(&rt->crew);
    s->worker = calloc(s->worker_count + 1, sizeof *s->worker);
    if (s->worker == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->worker_count; i++)
        worker_state(crew_worker(&rt->crew, i), &s->worker[i]);
    crew_totals(&rt->crew, &s->totals);
    return 0;
}

/* ---- the whole of it ---- */

static bool can_serve(const struct pool *p, uint64_t now, size_t depth)
{
    struct snapshot_sums sums;
    snapshot_sums(p, now, &sums);
    if (sums.usable > 0 || pool_file(p) != NULL)
        return true;
    const struct pool *next = pool_fallback(p);
    return next != NULL && depth > 0 && can_serve(next, now, depth - 1);
}

enum snapshot_health snapshot_health(const struct runtime *rt)
{
    if (rt->draining)
        return SNAPSHOT_DRAINING;
    if (rt->current == NULL || rt->crew.started == 0)
        return SNAPSHOT_STARTING;
    const struct generation *g = rt->current;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        if (can_serve(g->service[i].pool, uv_now(rt->loop), g->conf->pool_count))
            return SNAPSHOT_OK;
    return SNAPSHOT_NO_SERVER;
}

const char *snapshot_health_name(enum snapshot_health health)
{
    switch (health) {
    case SNAPSHOT_OK:
        return "ok";
    case SNAPSHOT_STARTING:
        return "starting";
    case SNAPSHOT_DRAINING:
        return "draining";
    case SNAPSHOT_NO_SERVER:
        return "no server";
    }
    return "unknown";
}

int snapshot_take(const struct runtime *rt, struct snapshot *s)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    *s = (struct snapshot){
        .time = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000,
        .began = rt->began,
        .health = snapshot_health(rt),
        .reloads = rt->reloads,
        .failed_reloads = rt->failed_reloads,
        .generation = rt->current->number,
        .sessions = gate_inside(&rt->gate),
        .max_sessions = rt->budget.sessions,
        .max_pipes = rt->budget.pipes,
    };
    if (gethostname(s->host, sizeof s->host - 1) == -1)
        s->host[0] = '\0';
    int rc = take_workers(rt, s);
    if (rc == 0)
        rc = take_listeners(rt, s);
    if (rc == 0)
        rc = take_pools(rt, s);
    if (rc == 0)
        rc = problems_list(rt, &s->problems);
    if (rc < 0)
        snapshot_free(s);
    return rc;
}

void snapshot_free(struct snapshot *s)
{
    for (size_t i = 0; i < s->pool_count; i++)
        free(s->pool[i].server);
    for (size_t i = 0; s->listener != NULL && i < s->listener_count; i++)
        free(s->listener[i].bind);
    free(s->pool);
    free(s->listener);
    free(s->worker);
    problems_free(&s->problems);
    *s = (struct snapshot){ .time = 0 };
}
