#include "metrics/snapshot.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/hostname.h"
#include "base/node.h"
#include "config/keys.h"
#include "control/watchdog.h"
#include "tls/tls_client_context.h"
#include "tls/tls_server_context.h"

/* Copies the text into the snapshot. NULL stays NULL. */
static const char *snapshot_strdup(struct snapshot *s, const char *text)
{
    const char *copy = text == NULL ? NULL : arena_strdup(&s->texts, text);
    s->incomplete |= copy == NULL && text != NULL;
    return copy;
}

/* ---- servers ---- */

static void take_check(const struct runtime *rt, const struct pool *p, const struct server *srv,
                       struct snapshot *s, struct snapshot_check *c)
{
    const struct health_state *result =
        rt->health == NULL ? NULL : health_find_state(rt->health, p, srv);
    uint64_t now = uv_now(rt->loop);
    if (result == NULL || result->checked == 0)
        return;
    *c = (struct snapshot_check){
        .has_result = true,
        .passed = result->passed,
        .passes = result->successes,
        .failures = result->failures,
        .duration = result->duration,
        .age = now > result->checked ? now - result->checked : 0,
        .why = snapshot_strdup(s, result->why),
    };
}

static void snapshot_take_server(const struct runtime *rt, const struct pool *p,
                                 const struct server *srv, struct snapshot *all,
                                 struct snapshot_server *s)
{
    char address[ADDR_TEXT_MAX];
    struct server_view view;
    server_view(rt, p, srv, &view);
    s->name = snapshot_strdup(all, server_name(srv));
    s->address = strcmp(addr_print(&srv->addr, address), s->name == NULL ? "" : s->name) == 0
                     ? s->name
                     : snapshot_strdup(all, address);
    s->state = (enum config_state)atomic_load_explicit(&srv->state, memory_order_relaxed);
    s->view.status = view.status;
    s->view.why = view.why[0] == '\0' ? "" : snapshot_strdup(all, view.why);
    s->up = strcmp(view.status, "up") == 0;
    s->backup = pool_is_backup(p, srv);
    s->tls = pool_conf(p)->tls;
    s->weight = server_weight(srv);
    s->active = server_active(srv);
    s->max_connections = atomic_load_explicit(&srv->max_connections, memory_order_relaxed);
    s->connect_time = pool_connect_time(p, srv);
    for (int k = 0; k < SERVER_COUNTERS; k++)
        s->counter[k] = counter_get(&srv->counter[k]);
    take_check(rt, p, srv, all, &s->check);
}

static void snapshot_take_servers(const struct runtime *rt, const struct pool *p,
                                  struct snapshot *s, struct snapshot_pool *sp)
{
    struct server *const *server = pool_servers(p, &sp->server_count);
    sp->server = s->server + s->server_count;
    s->server_count += sp->server_count;
    for (size_t i = 0; i < sp->server_count; i++) {
        sp->server[i].pool = sp->name;
        snapshot_take_server(rt, p, server[i], s, &sp->server[i]);
    }
}

/* ---- pools ---- */

void snapshot_sums(const struct pool *p, uint64_t now, struct snapshot_sums *sums)
{
    size_t count = 0;
    struct server *const *server = pool_servers(p, &count);
    *sums = (struct snapshot_sums){
        .sessions = pool_sessions(p),
        .waiting = pool_waiting(p),
        .failures = pool_failures(p),
    };
    for (size_t i = 0; i < count; i++) {
        const struct server *srv = server[i];
        for (int k = 0; k < SERVER_COUNTERS; k++)
            sums->counter[k] += counter_get(&srv->counter[k]);
        sums->usable += server_is_usable(srv, now);
    }
}

static void take_table(const struct pool *p, struct snapshot_pool *sp)
{
    const struct table table = pool_table(p);
    if (pool_file(p) != NULL)
        return;
    table_print(table.all, sp->table);
    table_print(table_now(&table), sp->table_now);
}

static void take_rebalance(const struct runtime *rt, const struct pool *p,
                           struct snapshot_rebalance *to)
{
    struct rebalance_progress c;
    to->running = rebalances_progress(&rt->rebalances, p, &c, &to->left);
    if (!to->running)
        return;
    to->closed = c.closed;
    to->to_close = c.to_move;
}

static void take_pool_certificate(const struct config_pool *conf, struct snapshot *s,
                                  struct snapshot_pool *sp)
{
    struct certificate_info c;
    char name[HOSTNAME_MAX + 1];
    if (!tls_client_context_certificate(conf->tls_context, &c))
        return;
    snprintf(name, sizeof name, "%.*s", (int)strcspn(c.names, ","), c.names);
    sp->certificate_name = snapshot_strdup(s, name);
    sp->certificate_type = c.type;
    sp->certificate_not_after = c.not_after;
}

static void take_pool(const struct runtime *rt, const struct pool *p, struct snapshot *s,
                      struct snapshot_pool *sp)
{
    const struct config_pool *conf = pool_conf(p);
    const struct pool *fallback = pool_fallback(p);
    sp->name = snapshot_strdup(s, pool_name(p));
    sp->fallback = snapshot_strdup(s, fallback == NULL ? NULL : pool_name(fallback));
    sp->file = snapshot_strdup(s, conf->file);
    sp->balance = config_balance_words[conf->balance];
    take_table(p, sp);
    sp->paused = pool_is_paused(p);
    sp->tls = conf->tls;
    take_pool_certificate(conf, s, sp);
    take_rebalance(rt, p, &sp->rebalance);
    snapshot_sums(p, uv_now(rt->loop), &sp->sums);
    sp->severity = problems_of_pool(p, uv_now(rt->loop), NULL);
    snapshot_take_servers(rt, p, s, sp);
}

static int take_pools(const struct runtime *rt, struct snapshot *s)
{
    const struct config *conf = runtime_conf(rt);
    size_t servers = 0;
    for (size_t i = 0; i < conf->pool_count; i++) {
        size_t count = 0;
        (void)pool_servers(pools_find(&rt->pools, conf->pool[i].name), &count);
        servers += count;
    }
    s->pool = calloc(conf->pool_count + 1, sizeof *s->pool);
    s->server = calloc(servers + 1, sizeof *s->server);
    if (s->pool == NULL || s->server == NULL)
        return -ENOMEM;
    for (; s->pool_count < conf->pool_count; s->pool_count++)
        take_pool(rt, pools_find(&rt->pools, conf->pool[s->pool_count].name), s,
                  &s->pool[s->pool_count]);
    return 0;
}

/* ---- listeners, workers ---- */

static void take_certificate(const struct tls_server_context *tls, size_t i, struct snapshot *s,
                             struct snapshot_listener *l)
{
    struct snapshot_certificate *to = &l->certificate[i];
    struct certificate_info c;
    char name[HOSTNAME_MAX + 1];
    tls_server_context_certificate(tls, i, &c);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(c.names, ","), c.names);
    to->name = snapshot_strdup(s, name);
    to->names = snapshot_strdup(s, c.names);
    to->file = snapshot_strdup(s, c.file);
    to->type = c.type;
    to->not_before = c.not_before;
    to->not_after = c.not_after;
}

/* By name and type, and then in the order of the file. */
static int compare_certificates(const void *a, const void *b)
{
    const struct snapshot_certificate *x = *(struct snapshot_certificate *const *)a;
    const struct snapshot_certificate *y = *(struct snapshot_certificate *const *)b;
    int order = strcmp(x->name == NULL ? "" : x->name, y->name == NULL ? "" : y->name);
    if (order == 0)
        order = strcmp(x->type, y->type);
    return order != 0 ? order : (x > y) - (x < y);
}

static bool is_same_label(const struct snapshot_certificate *a,
                          const struct snapshot_certificate *b)
{
    return a->name != NULL && b->name != NULL && strcmp(a->name, b->name) == 0 &&
           strcmp(a->type, b->type) == 0;
}

/* There may be thousands: sorted, equal ones are neighbours. Without memory for that all are
 * hidden.
 */
static void hide_certificates(const struct snapshot_listener *l)
{
    size_t count = l->certificate_count;
    struct snapshot_certificate **sorted = calloc(count + 1, sizeof(struct snapshot_certificate *));
    for (size_t i = 0; i < count; i++) {
        l->certificate[i].hidden = sorted == NULL;
        if (sorted != NULL)
            sorted[i] = &l->certificate[i];
    }
    if (sorted != NULL)
        qsort(sorted, count, sizeof(struct snapshot_certificate *), compare_certificates);
    for (size_t i = 1; i < count && sorted != NULL; i++)
        sorted[i]->hidden = is_same_label(sorted[i - 1], sorted[i]);
    free(sorted);
}

static void take_certificates(const struct tls_server_context *tls, struct snapshot *s,
                              struct snapshot_listener *l)
{
    l->certificate = s->certificate + s->certificate_count;
    l->certificate_count = tls_server_context_count(tls);
    for (size_t i = 0; i < l->certificate_count; i++)
        take_certificate(tls, i, s, l);
    hide_certificates(l);
    s->certificate_count += l->certificate_count;
}

static size_t count_certificates(const struct config *conf)
{
    size_t count = 0;
    for (size_t i = 0; i < conf->listen_count; i++)
        count += tls_server_context_count(conf->listen[i].tls_context);
    return count;
}

static void take_listener(const struct frontend *frontend, struct snapshot *s,
                          struct snapshot_listener *l)
{
    const struct listener_state *e = frontend->listener_state;
    char *bind = keys_to_string(&keys_sections[SECTION_LISTEN], frontend->conf, "bind");
    l->name = snapshot_strdup(s, frontend->conf->name);
    l->pool = snapshot_strdup(s, pool_name(frontend->pool));
    l->bind = snapshot_strdup(s, bind);
    free(bind);
    l->active = conn_limit_used(&e->conn_limit);
    l->max_connections = frontend->conf->max_connections;
    l->paused = accept_watch_reason(e);
    l->health_override = e->health_override;
    l->connections = counter_get(&e->connections);
    for (int i = 0; i < SESSION_ENDS; i++)
        l->refused[i] = counter_get(&e->refused[i]);
    l->tls = frontend->conf->tls_context != NULL;
    take_certificates(frontend->conf->tls_context, s, l);
    for (size_t i = 0; i < TLS_HANDSHAKES; i++)
        l->handshakes[i] = counter_get(&e->handshakes[i]);
}

static int take_listeners(struct runtime *rt, struct snapshot *s)
{
    const struct generation *g = rt->current;
    s->listener_count = g->conf->listen_count;
    s->listener = calloc(s->listener_count + 1, sizeof *s->listener);
    s->certificate = calloc(count_certificates(g->conf) + 1, sizeof *s->certificate);
    if (s->listener == NULL || s->certificate == NULL)
        return -ENOMEM;
    enum healthz *health = healthz_of_listeners(rt);
    if (health == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->listener_count; i++) {
        take_listener(&g->frontend[i], s, &s->listener[i]);
        s->listener[i].health = health[i];
    }
    free(health);
    s->paused = accept_watch_process(&rt->accept_watch);
    return 0;
}

static void take_ended(const struct frontend *frontend, struct snapshot *s)
{
    for (size_t i = 0; i < frontend->ended_count; i++) {
        const struct end_counts *counts = frontend->ended[i].counts;
        struct snapshot_ended *e = &s->ended[s->ended_count++];
        e->listener = snapshot_strdup(s, frontend->conf->name);
        e->pool = snapshot_strdup(s, counts->pool);
        for (int why = 0; why < SESSION_ENDS; why++)
            e->ended[why] = counter_get(&counts->ended[why]);
    }
}

static int take_all_ended(const struct runtime *rt, struct snapshot *s)
{
    const struct generation *g = rt->current;
    size_t count = 0;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        count += g->frontend[i].ended_count;
    s->ended = calloc(count + 1, sizeof *s->ended);
    if (s->ended == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < g->conf->listen_count; i++)
        take_ended(&g->frontend[i], s);
    return 0;
}

static int take_workers(const struct runtime *rt, struct snapshot *s)
{
    s->workers = rt->workers.active;
    s->worker_count = workers_running(&rt->workers);
    s->worker = calloc(s->worker_count + 1, sizeof *s->worker);
    s->worker_hangs = calloc(s->worker_count + 1, sizeof *s->worker_hangs);
    if (s->worker == NULL || s->worker_hangs == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < s->worker_count; i++) {
        const struct worker *w = workers_at(&rt->workers, i);
        worker_stats(w, &s->worker[i]);
        if (rt->watchdog != NULL)
            (void)watchdog_hangs(rt->watchdog, worker_index(w), &s->worker_hangs[i]);
    }
    workers_totals(&rt->workers, &s->totals);
    return 0;
}

/* ---- the snapshot ---- */

static uint64_t wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Returns 0 if `then` is in the future. */
static uint64_t elapsed_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

int snapshot_take(struct runtime *rt, struct snapshot *s)
{
    uint64_t time = wall_clock();
    uint64_t uptime = elapsed_since(uv_now(rt->loop), rt->began);
    *s = (struct snapshot){
        .time = time,
        .began = elapsed_since(time, uptime),
        .uptime = uptime,
        .health = healthz_of_process(rt),
        .health_override = rt->health_override,
        .reloads = rt->reloads,
        .failed_reloads = rt->failed_reloads,
        .generation = rt->current->number,
        .sessions = conn_limit_used(&rt->conn_limit),
        .max_sessions = rt->budget.sessions,
        .max_pipes = rt->budget.pipes,
        .node = node_name(),
    };
    if (gethostname(s->host, sizeof s->host - 1) == -1)
        s->host[0] = '\0';
    int rc = take_workers(rt, s);
    if (rc == 0)
        rc = take_listeners(rt, s);
    if (rc == 0)
        rc = take_all_ended(rt, s);
    if (rc == 0)
        rc = take_pools(rt, s);
    if (rc == 0)
        rc = problems_list(rt, &s->problems);
    if (rc == 0 && s->incomplete)
        rc = -ENOMEM;
    if (rc < 0)
        snapshot_free(s);
    return rc;
}

void snapshot_free(struct snapshot *s)
{
    arena_fini(&s->texts);
    free(s->server);
    free(s->ended);
    free(s->pool);
    free(s->listener);
    free(s->certificate);
    free(s->worker);
    free(s->worker_hangs);
    problems_free(&s->problems);
    *s = (struct snapshot){ .time = 0 };
}
