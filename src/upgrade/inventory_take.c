#include "upgrade/inventory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/change.h"
#include "upgrade/estate.h"

/* A configuration that has come, until all have. */
struct legacy {
    struct estate_config head;
    struct config *conf;
};

static void close_one(int fd)
{
    if (fd != -1)
        close(fd);
}

static uint64_t now_of(void)
{
    return courier_clock() / 1000;
}

/* The counters come twice, the second time with what was lost meanwhile. */
static void add_log_dropped(struct inventory *v, const struct estate_process *e)
{
    for (int i = 0; i < LOG_NAMES; i++) {
        /* those that it has not told of: so far it may itself */
        const struct log_loss loss = { .dropped = e->log_dropped[i] - v->log_dropped[i] };
        if (e->log_dropped[i] > v->log_dropped[i])
            log_add_dropped((enum log_name)i, &loss);
        v->log_dropped[i] = e->log_dropped[i];
    }
}

static int take_process(struct inventory *v)
{
    struct estate_process e;
    int pid_file = -1;
    int rc = courier_take(v->courier, "the counters", &e, sizeof e, &pid_file, 1);
    if (rc <= 0)
        return rc < 0 ? rc : courier_refuse(v->courier, "no counters where they are expected");
    const char *why = estate_check_process(&e, pid_file);
    if (why != NULL) {
        close_one(pid_file);
        return courier_refuse(v->courier, "the counters: %s", why);
    }
    struct runtime *rt = v->rt;
    pid_file_adopt(&rt->pid_file, pid_file);
    atomic_store(&rt->last_session_id, e.last_session_id);
    rt->reloads = e.reloads;
    rt->failed_reloads = e.failed_reloads;
    rt->began = e.began;
    rt->crew.past = e.totals;
    log_set_level((enum log_level)e.log_level);
    privileges_open(e.is_open != 0);
    add_log_dropped(v, &e);
    return courier_take_none(v->courier);
}

/* What is wrong with a configuration: for the refusal the first line of it, all for v->errors. */
struct objections {
    FILE *out;
    char *text;
    size_t size;
};

static int objections_open(struct objections *o)
{
    *o = (struct objections){ .text = NULL };
    o->out = open_memstream(&o->text, &o->size);
    return o->out == NULL ? -1 : 0;
}

static void objections_close(struct inventory *v, struct objections *o)
{
    if (fclose(o->out) == EOF || o->text == NULL)
        return;
    fputs(o->text, v->errors);
    o->text[strcspn(o->text, "\n")] = '\0';
}

static int refuse_config(struct inventory *v, const struct objections *o, uint32_t number,
                         const char *what)
{
    return courier_refuse(v->courier, "configuration %u %s: %s", number, what,
                          o->text == NULL || *o->text == '\0' ? "out of memory" : o->text);
}

static bool has_number(const struct inventory *v, uint32_t number)
{
    for (size_t i = 0; i < v->legacy_count; i++)
        if (v->legacy[i].head.number == number)
            return true;
    return false;
}

/* The one in force comes first; those that sessions keep are older. */
static const char *check_config(const struct inventory *v, const struct estate_config *e, int fd)
{
    const char *why = estate_check_config(e, fd);
    if (why != NULL)
        return why;
    if (e->in_force != (v->legacy_count == 0))
        return "none or two of them are in force";
    if (has_number(v, e->number) || (v->legacy_count > 0 && e->number > v->legacy[0].head.number))
        return "its number is another's, or later than that of the one in force";
    return NULL;
}

static int add_config(struct inventory *v, const struct estate_config *e, int fd)
{
    struct legacy *more = realloc(v->legacy, (v->legacy_count + 1) * sizeof *more);
    if (more == NULL)
        return courier_refuse(v->courier, "out of memory");
    v->legacy = more;
    char path[32];
    struct objections o;
    if (objections_open(&o) < 0)
        return courier_refuse(v->courier, "out of memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *conf = config_load(path, o.out);
    objections_close(v, &o);
    int rc = conf == NULL ? refuse_config(v, &o, e->number, "is not understood") : 0;
    free(o.text);
    if (rc == 0)
        v->legacy[v->legacy_count++] = (struct legacy){ .head = *e, .conf = conf };
    return rc;
}

static int take_config(struct inventory *v)
{
    struct estate_config e;
    int fd = -1;
    int rc;
    while ((rc = courier_take(v->courier, "a configuration", &e, sizeof e, &fd, 1)) > 0) {
        const char *why = check_config(v, &e, fd);
        rc = why == NULL ? add_config(v, &e, fd)
                         : courier_refuse(v->courier, "configuration %u: %s", e.number, why);
        close_one(fd);
        if (rc < 0)
            break;
    }
    return rc;
}

static int take_socket(struct inventory *v, const struct estate_socket *e,
                       const int fd[ESTATE_SOCKET_FDS])
{
    const char *why = estate_check_socket(e, fd);
    if (why != NULL) {
        char text[ADDR_TEXT_MAX] = "";
        for (size_t i = 0; i < ESTATE_SOCKET_FDS; i++)
            close_one(fd[i]);
        return courier_refuse(v->courier, "listening socket %s: %s",
                              addr_is_valid(&e->at) ? addr_print(&e->at, text) : text, why);
    }
    if (e->of_http)
        http_adopt(v->rt->http, &e->at, &e->file, fd[0]);
    else if (sockets_adopt(&v->rt->sockets, &e->at, &e->file, fd, e->count) < 0)
        return courier_refuse(v->courier, "out of memory");
    return 0;
}

static int take_sockets(struct inventory *v)
{
    struct estate_socket e;
    int fd[ESTATE_SOCKET_FDS];
    int rc;
    while ((rc = courier_take(v->courier, "a listening socket", &e, sizeof e, fd,
                              ESTATE_SOCKET_FDS)) > 0)
        if (take_socket(v, &e, fd) < 0)
            return -1;
    return rc;
}

static int take_handed(struct inventory *v)
{
    struct estate_handed e;
    int fd = -1;
    int rc;
    while ((rc = courier_take(v->courier, "a socket of systemd's", &e, sizeof e, &fd, 1)) > 0) {
        const char *why = estate_check_handed(&e, fd);
        if (why != NULL) {
            close_one(fd);
            return courier_refuse(v->courier, "socket fd:%d of systemd's: %s", e.number, why);
        }
        if (inherited_adopt(&v->rt->sockets.inherited, e.name, e.number, fd) < 0)
            return courier_refuse(v->courier, "out of memory");
    }
    return rc;
}

static int take_admin(struct inventory *v)
{
    struct estate_socket e;
    int fd = -1;
    int rc = courier_take(v->courier, "the control socket", &e, sizeof e, &fd, 1);
    if (rc <= 0)
        return rc;
    const char *why = estate_check_admin(&e, fd);
    if (why != NULL) {
        close_one(fd);
        return courier_refuse(v->courier, "the control socket: %s", why);
    }
    rc = admin_adopt(v->rt->admin, &e.at, &e.file, fd);
    return rc < 0 ? courier_refuse(v->courier, "the control socket: %s", strerror(-rc))
                  : courier_take_none(v->courier);
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
    struct objections o;
    if (objections_open(&o) < 0)
        return courier_refuse(v->courier, "out of memory");
    l->conf = NULL;
    v->rt->last_generation = l->head.number - 1;
    change_exchange_fixed(conf, v->own);
    int rc = change_prepare(v->rt, conf, o.out, &change);
    objections_close(v, &o);
    rc = rc < 0 ? refuse_config(v, &o, l->head.number, "cannot be put in force here") : 0;
    free(o.text);
    if (rc == 0)
        change_commit(change);
    return rc;
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

/* All addresses of a name are there. */
static int put_answers(struct inventory *v)
{
    size_t count = v->answer_count;
    struct pool *p = count == 0 ? NULL : pools_find(&v->rt->pools, v->answer_pool);
    v->answer_count = 0;
    if (count == 0)
        return 0;
    if (p == NULL || v->answer_line >= pool_conf(p)->server_count ||
        pool_conf(p)->server[v->answer_line].host == NULL)
        return courier_refuse(v->courier,
                              "addresses of server line %u of pool %s, which has no name",
                              v->answer_line + 1, v->answer_pool);
    return pool_resolved(p, v->answer_line, v->answers, count) < 0
               ? courier_refuse(v->courier, "out of memory")
               : 0;
}

static bool is_of_same_name(const struct inventory *v, const struct estate_answer *e)
{
    return e->line == v->answer_line && strcmp(e->pool, v->answer_pool) == 0;
}

static int add_answer(struct inventory *v, const struct estate_answer *e)
{
    if (!is_of_same_name(v, e) && put_answers(v) < 0)
        return -1;
    if (v->answer_count == v->answer_room) {
        size_t room = 2 * v->answer_room + 64;
        struct pool_answer *more = realloc(v->answers, room * sizeof *more);
        if (more == NULL)
            return courier_refuse(v->courier, "out of memory");
        v->answers = more;
        v->answer_room = room;
    }
    memcpy(v->answer_pool, e->pool, sizeof v->answer_pool);
    v->answer_line = e->line;
    v->answers[v->answer_count++] = (struct pool_answer){ e->addr, e->weight, e->backup != 0 };
    return 0;
}

/* The last name of a parcel may go on in the next one. */
static int take_answers(struct inventory *v)
{
    struct estate_answer e;
    int rc;
    while ((rc = courier_take(v->courier, "an address", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = estate_check_answer(&e);
        if (why != NULL)
            return courier_refuse(v->courier, "an address of a name: %s", why);
        if (add_answer(v, &e) < 0)
            return -1;
    }
    return rc;
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

/* It is said that something is lost, whatever the reason: nothing else would tell. */
static void say_lost(const struct estate_server *e)
{
    char text[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "upgrade");
    log_str(&line, "pool", e->pool);
    log_str(&line, "server", e->name);
    log_str(&line, "address", addr_print(&e->addr, text));
    log_str(&line, "msg",
            "the pool has no such server here: its weight, state and counters are lost");
    log_end(&line);
}

static int take_server(struct inventory *v, struct estate_server *e)
{
    struct pool *p = pools_find(&v->rt->pools, e->pool);
    struct backend *b = p == NULL ? NULL : pool_find(p, &e->addr, e->name);
    if (b == NULL && p != NULL && e->added)
        b = add_again(p, e);
    if (b == NULL) {
        say_lost(e);
        return 0;
    }
    restore(b, e);
    restore_check(v, p, b, e);
    if (e->draining && drains_resume(&v->rt->drains, p, b, &e->drain) < 0)
        return courier_refuse(v->courier, "out of memory");
    return 0;
}

static int take_servers(struct inventory *v)
{
    struct estate_server e;
    int rc;
    if (put_answers(v) < 0)
        return -1;
    while ((rc = courier_take(v->courier, "a server", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = estate_check_server(&e, now_of());
        if (why != NULL)
            return courier_refuse(v->courier, "server %.*s of pool %.*s: %s", 60, e.name, 60,
                                  e.pool, why);
        if (take_server(v, &e) < 0)
            return -1;
    }
    return rc;
}

static void restore_ended(struct entrance *in, const struct estate_entrance *e)
{
    struct end_counts *counts = end_counts_find(&in->ended, e->pool);
    for (int i = 0; counts != NULL && i < SESSION_ENDS; i++)
        atomic_store(&counts->ended[i], e->ended[i]);
}

static void restore_entrance(struct inventory *v, const struct estate_entrance *e)
{
    struct entrance *in;
    LIST_FOREACH(in, &v->rt->entrances, in_all) {
        if (strcmp(in->name, e->name) != 0)
            continue;
        if (e->pool[0] != '\0') {
            restore_ended(in, e);
            continue;
        }
        atomic_store(&in->connections, e->connections);
        for (int k = 0; k < SESSION_ENDS; k++)
            atomic_store(&in->refused[k], e->refused[k]);
    }
}

static int take_entrances(struct inventory *v)
{
    struct estate_entrance e;
    int rc;
    while ((rc = courier_take(v->courier, "a listener", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = estate_check_entrance(&e);
        if (why != NULL)
            return courier_refuse(v->courier, "a listener: %s", why);
        restore_entrance(v, &e);
    }
    return rc;
}

static void finish_pool(void *arg, struct pool *p)
{
    int *rc = arg;
    if (*rc == 0)
        *rc = pool_rebuild(p);
}

int inventory_finish(struct inventory *v)
{
    int rc = 0;
    if (put_answers(v) < 0)
        return -1;
    pools_each(&v->rt->pools, finish_pool, &rc);
    return rc < 0 ? courier_refuse(v->courier, "servers: %s", strerror(-rc)) : 0;
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
    free(v->answers);
}
