#include "control/config_change.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/node.h"
#include "base/safe_open.h"
#include "config/keys.h"
#include "config/value_kinds.h"
#include "control/health_checks.h"
#include "control/healthz.h"
#include "control/names.h"
#include "control/tls_contexts.h"

/* A pool of the new configuration: an existing one that is updated, or a new one. */
struct pool_change {
    struct pool *pool;
    struct pool_update *update; /* NULL: new */
};

struct config_change {
    struct runtime *rt;
    struct generation *generation;
    struct budget budget;
    struct pool_change *pool; /* of conf->pool[i] */
    size_t pool_count;
    size_t more_workers;
    struct listen_sockets_change *listen_sockets;
    struct admin_change *admin;
    struct http_change *http;
    const struct node *node;
};

/* ---- keys that cannot change at run time ---- */

static void report_fixed(const struct key *k, FILE *errors)
{
    fprintf(errors,
            "[global] %s: cannot be changed while zproxy runs, expected the value that it "
            "was started with",
            k->name);
    if (k->value.kind ==
        &value_kind_log_target) /* perhaps only a new file of this name is wanted */
        fprintf(errors, "; SIGUSR1 opens the same file again, as after a rotation; SIGUSR2 (an "
                        "upgrade) takes another");
    fputc('\n', errors);
}

static int check_fixed(const struct config_global *old, const struct config_global *new,
                       FILE *errors)
{
    const struct section *s = &keys_sections[SECTION_GLOBAL];
    int rc = 0;
    for (const struct key *k = s->keys; k < s->keys + s->key_count; k++)
        if ((k->flags & KEY_FIXED) != 0 && !keys_equal(s, old, new, k->name)) {
            report_fixed(k, errors);
            rc = -1;
        }
    return rc;
}

void config_change_swap_fixed(struct config *conf, struct config *own)
{
    struct config_fixed kept = conf->global.fixed;
    conf->global.fixed = own->global.fixed;
    own->global.fixed = kept;
}

/* ---- prepared ---- */

static int pool_failed(FILE *errors, const struct config_pool *conf, int error)
{
    if (conf->file != NULL)
        fprintf(errors, "[pool %s] file: %s: %s\n", conf->name, conf->file,
                safe_open_strerror(-error));
    else
        fprintf(errors, "[pool %s]: %s\n", conf->name, strerror(error));
    return -1;
}

static int prepare_pool(struct config_change *c, const struct config_pool *conf, FILE *errors)
{
    struct pool_change *pc = &c->pool[c->pool_count];
    pc->pool = pools_find(&c->rt->pools, conf->name);
    pc->update = NULL;
    if (pc->pool != NULL) {
        int rc = pool_prepare(pc->pool, conf, &pc->update);
        if (rc < 0)
            return pool_failed(errors, conf, -rc);
    } else if ((pc->pool = pools_add(&c->rt->pools, conf)) == NULL) {
        return pool_failed(errors, conf, errno);
    }
    c->pool_count++;
    return 0;
}

static int prepare_pools(struct config_change *c, const struct config *conf, FILE *errors)
{
    int rc = 0;
    c->pool = calloc(conf->pool_count + 1, sizeof *c->pool);
    if (c->pool == NULL) {
        fprintf(errors, "out of memory\n");
        return -1;
    }
    for (size_t i = 0; i < conf->pool_count; i++)
        rc |= prepare_pool(c, &conf->pool[i], errors);
    return rc;
}

static int prepare_workers(struct config_change *c, FILE *errors)
{
    struct workers *workers = &c->rt->workers;
    size_t wanted = c->budget.workers;
    size_t more = wanted > workers->active ? wanted - workers->active : 0;
    int rc = workers_add(workers, more);
    if (rc == 0)
        c->more_workers = more;     /* also if their start fails */
    if (rc == 0 && c->rt->relaying) /* else they start with all others */
        rc = workers_start(workers);
    if (rc < 0)
        fprintf(errors, "[global] workers: %s\n", strerror(-rc));
    return rc < 0 ? -1 : 0;
}

static int prepare_admin(struct config_change *c, const struct config *conf, FILE *errors)
{
    const struct admin_address address = {
        .at = conf->admin.socket,
        .mode = conf->admin.socket_mode,
        .owner = c->rt->privileges.uid,
        .group = c->rt->privileges.gid,
    };
    return admin_prepare(c->rt->admin, &address, errors, &c->admin);
}

/* ---- plan: uses only memory ---- */

static int config_change_check_files(const struct config *conf, FILE *errors)
{
    int rc = 0;
    for (size_t i = 0; i < conf->pool_count; i++) {
        int found = pool_check_file(&conf->pool[i]);
        if (found < 0)
            rc = pool_failed(errors, &conf->pool[i], -found);
    }
    return rc;
}

static bool config_change_can_serve_http(const struct config *conf)
{
    return conf->admin.http.len == 0 || http_is_built();
}

static int check_http(const struct config *conf, FILE *errors)
{
    if (config_change_can_serve_http(conf))
        return 0;
    fprintf(errors, "[admin] http: this zproxy was built without libmicrohttpd\n");
    return -1;
}

struct config_plan {
    struct budget budget;
    struct listen_sockets_change *listen_sockets;
};

/* Prints all errors at once. */
static int config_plan_make(struct runtime *rt, const struct config *conf, FILE *errors,
                            struct config_plan *config_plan)
{
    *config_plan = (struct config_plan){ .listen_sockets = NULL };
    if (rt->current != NULL && check_fixed(&runtime_conf(rt)->global, &conf->global, errors) < 0)
        return -1;
    budget_compute(&config_plan->budget, conf, rt->descriptors,
                   privileges_will_be_limited(&rt->privileges));
    if (!budget_suffices(&config_plan->budget, conn_limit_used(&rt->conn_limit), errors))
        return -1; /* to open some of them would leave no descriptors for clients */
    int rc = names_are_supported(conf, NULL, errors) ? 0 : -1;
    rc |= privileges_check_congestion(&rt->privileges, conf, errors);
    rc |= config_change_check_files(conf, errors);
    rc |= check_http(conf, errors);
    rc |= listen_sockets_plan(&rt->listen_sockets, conf, config_plan->budget.workers, errors,
                              &config_plan->listen_sockets);
    return rc;
}

int config_change_preview(struct runtime *rt, struct config *conf, FILE *errors)
{
    struct config_plan config_plan;
    int rc = config_plan_make(rt, conf, errors, &config_plan);
    rc |= tls_contexts_check(conf, errors);
    listen_sockets_abort(config_plan.listen_sockets);
    return rc;
}

void config_change_preview_end(struct config *conf)
{
    tls_contexts_free(conf);
    config_free(conf);
}

/* ---- open, and listen last ---- */

static int open_addresses(struct config_change *c, const struct config *conf, FILE *errors)
{
    int rc = listen_sockets_open(c->listen_sockets, errors);
    rc |= prepare_admin(c, conf, errors);
    if (config_change_can_serve_http(conf)) /* else the error is printed already */
        rc |= http_prepare(c->rt->http, &conf->admin.http, errors, &c->http);
    return rc;
}

/* The pools come last: the new settings of existing servers must not be seen by workers before they
 * are in force. */
static int prepare_rest(struct config_change *c, const struct config *conf, FILE *errors)
{
    if (names_prepare(&c->rt->names, conf, errors) < 0 || prepare_workers(c, errors) < 0)
        return -1;
    return prepare_pools(c, conf, errors);
}

static int listen_on_all(struct config_change *c, FILE *errors)
{
    int rc = admin_listen(c->admin, errors);
    if (rc == 0)
        rc = http_listen(c->http, errors);
    return rc == 0 ? listen_sockets_listen(c->listen_sockets, errors) : rc;
}

static int config_change_open(struct config_change *c, FILE *errors)
{
    struct runtime *rt = c->rt;
    const struct config *conf = c->generation->conf;
    struct config_plan config_plan;
    int rc = config_plan_make(rt, conf, errors, &config_plan);
    rc |= tls_contexts_make(c->generation->conf, errors);
    c->budget = config_plan.budget;
    c->listen_sockets = config_plan.listen_sockets;
    if (c->listen_sockets != NULL) /* also after an error: all errors are printed at once */
        rc |= open_addresses(c, conf, errors);
    if (rc < 0 || prepare_rest(c, conf, errors) < 0)
        return -1;
    c->node = node_prepare(conf->global.node);
    if (c->node == NULL) {
        fprintf(errors, "out of memory\n");
        return -ENOMEM;
    }
    rc =
        generation_init_frontends(c->generation, &rt->pools, &rt->listener_states, &rt->conn_limit);
    if (rc < 0) {
        fprintf(errors, "out of memory\n");
        return rc;
    }
    return listen_on_all(c, errors);
}

static void config_change_free(struct config_change *c)
{
    free(c->pool);
    free(c);
}

/* Does not free the generation: the new pools use its settings until they are freed. */
static void config_change_abort(struct config_change *c)
{
    for (size_t i = 0; i < c->pool_count; i++) {
        if (c->pool[i].update != NULL)
            pool_abort(c->pool[i].update);
        else
            pools_drop(&c->rt->pools, c->pool[i].pool);
    }
    listen_sockets_abort(c->listen_sockets);
    admin_abort(c->admin);
    http_abort(c->http);
    workers_drain_last(&c->rt->workers, c->more_workers);
    LIST_INSERT_HEAD(&c->rt->generations, c->generation, in_all);
    pools_schedule_cleanup(&c->rt->pools);
    config_change_free(c);
}

int config_change_prepare(struct runtime *rt, struct config *conf, FILE *errors,
                          struct config_change **config_change)
{
    struct generation *g = generation_new(rt->last_generation + 1, conf);
    struct config_change *c = calloc(1, sizeof *c);
    if (g == NULL || c == NULL) {
        fprintf(errors, "out of memory\n");
        generation_free(g);
        free(c);
        return -1;
    }
    c->rt = rt;
    c->generation = g;
    if (config_change_open(c, errors) < 0) {
        config_change_abort(c);
        return -1;
    }
    *config_change = c;
    return 0;
}

/* ---- commit ---- */

static bool has_pool(const struct config *conf, const char *name)
{
    for (size_t i = 0; i < conf->pool_count; i++)
        if (strcmp(conf->pool[i].name, name) == 0)
            return true;
    return false;
}

static void drop_pool(struct runtime *rt, struct pool *p)
{
    health_checks_remove(rt, p);
    names_remove_pool(&rt->names, p);
    pools_drop(&rt->pools, p);
}

static void drop_pools(struct runtime *rt, const struct config *old, const struct config *new)
{
    for (size_t i = 0; i < old->pool_count; i++) {
        struct pool *p = pools_find(&rt->pools, old->pool[i].name);
        if (p != NULL && !has_pool(new, old->pool[i].name))
            drop_pool(rt, p);
    }
}

static void commit_pools(struct config_change *c, const struct config *conf)
{
    for (size_t i = 0; i < c->pool_count; i++)
        if (c->pool[i].update != NULL)
            pool_commit(c->pool[i].update);
    for (size_t i = 0; i < c->pool_count; i++) {
        const struct config_pool *to = conf->pool[i].fallback;
        pool_set_fallback(c->pool[i].pool, to == NULL ? NULL : c->pool[to - conf->pool].pool);
        health_checks_sync(c->rt, c->pool[i].pool);
    }
}

static void config_change_set_limits(struct config_change *c)
{
    const struct generation *g = c->generation;
    conn_limit_set_reason(&c->rt->conn_limit,
                          c->budget.by_descriptors ? ACCEPT_DESCRIPTORS : ACCEPT_MAX_CONNECTIONS);
    conn_limit_set_max(&c->rt->conn_limit, c->budget.sessions);
    for (size_t i = 0; i < g->conf->listen_count; i++)
        frontend_take_effect(&g->frontend[i], uv_now(c->rt->pools.loop));
}

static void on_invisible(void *what)
{
    struct generation *g = what;
    g->visible = false;
}

/* Sessions may keep the generation, and workers use it until the end of the grace period. */
static void retire(struct runtime *rt, struct generation *g)
{
    g->visible = true;
    LIST_INSERT_HEAD(&rt->generations, g, in_all);
    grace_retire(&rt->grace, on_invisible, g);
    pools_schedule_cleanup(&rt->pools);
}

void config_change_commit(struct config_change *c)
{
    struct runtime *rt = c->rt;
    struct generation *old = rt->current;
    size_t wanted = c->budget.workers;
    if (old != NULL)
        healthz_remember(rt);
    commit_pools(c, c->generation->conf);
    config_change_set_limits(c);
    listen_sockets_commit(c->listen_sockets, c->generation, &rt->workers);
    admin_commit(c->admin);
    http_commit(c->http);
    if (rt->workers.active > wanted)
        workers_drain_last(&rt->workers, rt->workers.active - wanted);
    rt->budget = c->budget;
    rt->current = c->generation;
    rt->last_generation = c->generation->number;
    if (old != NULL) {
        if (old->conf->global.log_level != runtime_conf(rt)->global.log_level)
            log_set_level(
                runtime_conf(rt)->global.log_level); /* else that of `set log_level` stays */
        drop_pools(rt, old->conf, runtime_conf(rt));
        retire(rt, old);
    }
    names_commit(&rt->names, runtime_conf(rt), &rt->pools);
    node_set(c->node);
    config_change_free(c);
}

static bool uses_settings_of(const void *generation, const struct pool *p)
{
    return generation_has_settings(generation, pool_conf(p));
}

bool config_change_uses_pool(const struct runtime *rt, const struct pool *p)
{
    const struct generation *g;
    LIST_FOREACH(g, &rt->generations, in_all)
        if (generation_is_used(g) && generation_has_pool(g, pool_name(p)))
            return true;
    return false;
}

bool config_change_cleanup(struct runtime *rt)
{
    struct generation *g = LIST_FIRST(&rt->generations);
    while (g != NULL) {
        struct generation *next = LIST_NEXT(g, in_all);
        if (!generation_is_used(g) && !pools_any(&rt->pools, uses_settings_of, g)) {
            LIST_REMOVE(g, in_all);
            generation_free(g);
        }
        g = next;
    }
    workers_reap(&rt->workers);
    return !LIST_EMPTY(&rt->generations) || rt->workers.finishing > 0;
}
