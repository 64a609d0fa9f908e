#include "upgrade/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/change.h"
#include "upgrade/estate.h"

/* A configuration that has come, until all have. */
struct legacy {
    struct estate_config head;
    struct config *conf;
};

static int take_process(struct inventory *v)
{
    struct estate_process e;
    struct parcel_place at = { 0, 0 };
    int pid_file = -1;
    if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, &pid_file, 1))
        return courier_refuse(v->courier, "counters that make no sense");
    struct runtime *rt = v->rt;
    pid_file_adopt(&rt->pid_file, pid_file);
    atomic_store(&rt->last_session_id, e.last_session_id);
    rt->reloads = e.reloads;
    rt->failed_reloads = e.failed_reloads;
    rt->began = e.began;
    rt->crew.past = e.totals;
    return 0;
}

static struct config *load(struct inventory *v, int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return config_load(path, v->errors);
}

static int take_config(struct inventory *v)
{
    struct legacy l = { .conf = NULL };
    struct parcel_place at = { 0, 0 };
    int fd = -1;
    struct legacy *more = realloc(v->legacy, (v->legacy_count + 1) * sizeof *more);
    if (more == NULL)
        return courier_refuse(v->courier, "out of memory");
    v->legacy = more;
    if (!parcel_take(v->courier->parcel, &at, &l.head, sizeof l.head, &fd, 1) || fd == -1)
        return courier_refuse(v->courier, "a configuration that makes no sense");
    l.conf = load(v, fd);
    close(fd);
    if (l.conf == NULL)
        return courier_refuse(v->courier, "the configuration in force is not understood");
    v->legacy[v->legacy_count++] = l;
    return 0;
}

/* The first count of 64. */
static bool are_there(const int fd[64], uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (i >= 64 || fd[i] == -1)
            return false;
    return true;
}

static int take_sockets(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < v->courier->parcel->count && rc == 0; i++) {
        struct estate_socket e;
        int fd[64];
        if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, fd, 64) || !are_there(fd, e.count))
            rc = courier_refuse(v->courier, "a listening socket that makes no sense");
        else if (e.of_http && e.count == 1)
            http_adopt(v->rt->http, &e.at, fd[0]);
        else if (sockets_adopt(&v->rt->sockets, &e.at, fd, e.count) < 0)
            rc = courier_refuse(v->courier, "out of memory");
    }
    parcel_close_rest(v->courier->parcel, &at);
    return rc;
}

static int take_handed(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < v->courier->parcel->count && rc == 0; i++) {
        struct estate_handed e;
        int fd = -1;
        if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, &fd, 1) || fd == -1 ||
            !parcel_is_text(e.name, sizeof e.name))
            rc = courier_refuse(v->courier, "a socket of systemd's that makes no sense");
        else if (inherited_adopt(&v->rt->sockets.inherited, e.name, e.number, fd) < 0)
            rc = courier_refuse(v->courier, "out of memory");
    }
    parcel_close_rest(v->courier->parcel, &at);
    return rc;
}

static int take_admin(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    struct estate_socket e;
    int fd = -1;
    if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, &fd, 1) || fd == -1)
        return courier_refuse(v->courier, "a control socket that makes no sense");
    int rc = admin_adopt(v->rt->admin, &e.at, fd);
    return rc < 0 ? courier_refuse(v->courier, "the control socket: %s", strerror(-rc)) : 0;
}

/* Pools that only sessions from before a reload use are made for them, and dropped again: they go
 * with the last of these sessions. */
static int make_old_pools(struct inventory *v, const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        if (pools_find_any(&v->rt->pools, conf->pool[i].name) != NULL)
            continue;
        struct pool *p = pools_add(&v->rt->pools, &conf->pool[i]);
        if (p == NULL)
            return courier_refuse(v->courier, "[pool %s]: %s", conf->pool[i].name, strerror(errno));
        pools_drop(&v->rt->pools, p);
    }
    return 0;
}

static int settle_old(struct inventory *v, struct legacy *l)
{
    struct runtime *rt = v->rt;
    struct config *conf = l->conf;
    if (make_old_pools(v, conf) < 0)
        return -1;
    l->conf = NULL;
    struct generation *g = generation_new(l->head.number, conf);
    if (g == NULL)
        return courier_refuse(v->courier, "out of memory");
    LIST_INSERT_HEAD(&rt->generations, g, in_all);
    if (generation_open(g, &rt->pools, &rt->entrances, &rt->gate) < 0)
        return courier_refuse(v->courier, "out of memory");
    return 0;
}

static int settle_current(struct inventory *v, struct legacy *l)
{
    struct change *change = NULL;
    struct config *conf = l->conf;
    l->conf = NULL;
    v->rt->last_generation = l->head.number - 1;
    change_exchange_fixed(conf, v->own);
    if (change_prepare(v->rt, conf, v->errors, &change) < 0)
        return courier_refuse(v->courier, "the configuration in force cannot be put in force here");
    change_commit(change);
    return 0;
}

/* The one in force was sent first. */
int inventory_settle(struct inventory *v)
{
    if (v->settled)
        return 0;
    v->settled = true;
    if (v->legacy_count == 0 || !v->legacy[0].head.in_force)
        return courier_refuse(v->courier, "no configuration in force");
    int rc = settle_current(v, &v->legacy[0]);
    for (size_t i = 1; i < v->legacy_count && rc == 0; i++)
        rc = settle_old(v, &v->legacy[i]);
    return rc;
}

static int take_answers(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    struct pool_answer list[1024];
    size_t count = 0;
    struct estate_answer before = { .line = 0 };
    for (uint32_t i = 0; i <= v->courier->parcel->count; i++) {
        struct estate_answer e = { .line = 0 };
        if (i < v->courier->parcel->count &&
            (!parcel_take(v->courier->parcel, &at, &e, sizeof e, NULL, 0) ||
             !parcel_is_text(e.pool, ESTATE_NAME)))
            return courier_refuse(v->courier, "an address that makes no sense");
        bool other = e.line != before.line || strcmp(e.pool, before.pool) != 0;
        if (count > 0 && (other || i == v->courier->parcel->count)) {
            struct pool *p = pools_find(&v->rt->pools, before.pool);
            if (p != NULL && before.line < pool_conf(p)->server_count &&
                pool_conf(p)->server[before.line].host != NULL)
                (void)pool_resolved(p, before.line, list, count); /* else it is resolved anew */
            count = 0;
        }
        if (count < sizeof list / sizeof list[0])
            list[count++] = (struct pool_answer){ e.addr, e.weight, e.backup };
        before = e;
    }
    return 0;
}

static void restore(struct backend *b, const struct estate_server *e)
{
    atomic_store(&b->weight, e->weight);
    atomic_store(&b->state, e->state);
    atomic_store(&b->max_connections, e->max_connections);
    atomic_store(&b->up, e->up != 0);
    atomic_store(&b->out_until, e->out_until);
    atomic_store(&b->ramp_length, e->ramp_length);
    atomic_store(&b->ramp_began, e->ramp_began);
    atomic_store(&b->connections, e->connections);
    atomic_store(&b->failures, e->failures);
    atomic_store(&b->received, e->received);
    atomic_store(&b->sent, e->sent);
}

static void restore_check(const struct inventory *v, const struct pool *p, const struct backend *b,
                          const struct estate_server *e)
{
    const struct estate_check *c = &e->check;
    struct verdict verdict = {
        .up = e->up != 0,
        .settled = c->settled != 0,
        .passed = c->passed != 0,
        .streak = c->streak,
        .successes = c->successes,
        .failures = c->failures,
        .checked = c->checked,
        .changed = c->changed,
        .duration = c->duration,
    };
    memcpy(verdict.why, c->why, sizeof verdict.why);
    health_restore(v->rt->health, p, b, &verdict);
}

/* One that the configuration does not have. */
static struct backend *add_again(struct pool *p, struct estate_server *e)
{
    const struct config_server line = {
        .name = e->name,
        .addr = e->addr,
        .check_address = e->check_address,
        .weight = e->weight,
        .max_connections = e->max_connections,
        .state = (enum config_state)e->state,
        .backup = e->backup,
    };
    return pool_add_server(p, &line) < 0 ? NULL : pool_find(p, &e->addr, e->name);
}

static int take_servers(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < v->courier->parcel->count; i++) {
        struct estate_server e;
        if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, NULL, 0) ||
            !parcel_is_text(e.pool, ESTATE_NAME) || !parcel_is_text(e.name, ESTATE_NAME) ||
            !parcel_is_text(e.check.why, sizeof e.check.why))
            return courier_refuse(v->courier, "a server that makes no sense");
        struct pool *p = pools_find(&v->rt->pools, e.pool);
        struct backend *b = p == NULL ? NULL : pool_find(p, &e.addr, e.name);
        if (b == NULL && p != NULL && e.added)
            b = add_again(p, &e);
        if (b == NULL)
            continue;
        restore(b, &e);
        restore_check(v, p, b, &e);
        pool_restate(p);
        if (e.draining && drains_resume(&v->rt->drains, p, b, &e.drain) < 0)
            return courier_refuse(v->courier, "out of memory");
    }
    return 0;
}

static int take_entrances(struct inventory *v)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < v->courier->parcel->count; i++) {
        struct estate_entrance e;
        struct entrance *in;
        if (!parcel_take(v->courier->parcel, &at, &e, sizeof e, NULL, 0) ||
            !parcel_is_text(e.name, ESTATE_NAME))
            return courier_refuse(v->courier, "a listener that makes no sense");
        LIST_FOREACH(in, &v->rt->entrances, in_all) {
            if (strcmp(in->name, e.name) != 0)
                continue;
            atomic_store(&in->connections, e.connections);
            for (int k = 0; k < SESSION_ENDS; k++)
                atomic_store(&in->refused[k], e.refused[k]);
        }
    }
    return 0;
}

int inventory_take(struct inventory *v)
{
    switch ((enum parcel_type)v->courier->parcel->type) {
    case PARCEL_OFFER:
        return take_process(v);
    case PARCEL_CONFIG:
        return take_config(v);
    case PARCEL_SOCKET:
        return take_sockets(v);
    case PARCEL_HANDED:
        return take_handed(v);
    case PARCEL_ADMIN:
        return take_admin(v);
    case PARCEL_ANSWERS:
        return inventory_settle(v) < 0 ? -1 : take_answers(v);
    case PARCEL_SERVERS:
        return inventory_settle(v) < 0 ? -1 : take_servers(v);
    case PARCEL_ENTRANCE:
        return inventory_settle(v) < 0 ? -1 : take_entrances(v);
    default:
        return courier_refuse(v->courier, "a message that does not belong here");
    }
}

void inventory_fini(struct inventory *v)
{
    for (size_t i = 0; i < v->legacy_count; i++)
        config_free(v->legacy[i].conf);
    free(v->legacy);
}
