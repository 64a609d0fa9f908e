#include "upgrade/inventory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "upgrade/estate.h"

static void copy_name(char to[ESTATE_NAME], const char *name)
{
    snprintf(to, ESTATE_NAME, "%s", name);
}

/* That of the file, or what was set at run time. */
static uint32_t log_level_now(void)
{
    uint32_t level = LOG_LEVEL_DEBUG;
    while (level > LOG_LEVEL_ERROR && !log_wanted((enum log_level)level))
        level--;
    return level;
}

int inventory_send_process(struct courier *c, struct runtime *rt)
{
    struct estate_process e = {
        .last_session_id = atomic_load(&rt->last_session_id),
        .reloads = rt->reloads,
        .failed_reloads = rt->failed_reloads,
        .began = rt->began,
        .log_level = log_level_now(),
        .is_open = privileges_is_open(),
    };
    for (int i = 0; i < LOG_NAMES; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        e.log_dropped[i] = rt->log_dropped_sent[i] = state.dropped;
    }
    crew_totals(&rt->crew, &e.totals);
    courier_open(c, PARCEL_OFFER);
    return courier_put(c, &e, sizeof e, &rt->pid_file.fd, 1) < 0 ? -1 : courier_flush(c);
}

static int config_text(const struct config *conf)
{
    int fd = memfd_create("zproxy.ini", MFD_CLOEXEC);
    FILE *out = fd == -1 ? NULL : fdopen(dup(fd), "w");
    if (out == NULL) {
        int error = errno;
        if (fd != -1)
            close(fd);
        return -error;
    }
    config_print(conf, out);
    int rc = fclose(out) == EOF || lseek(fd, 0, SEEK_SET) == -1 ? -errno : fd;
    if (rc < 0)
        close(fd);
    return rc;
}

static int send_config(struct courier *c, struct runtime *rt, const struct generation *g)
{
    const struct estate_config e = { g->number, g == rt->current };
    int fd = config_text(g->conf);
    if (fd < 0)
        return courier_fail(c, "writing the configuration", fd);
    courier_open(c, PARCEL_CONFIG);
    int rc = courier_put(c, &e, sizeof e, &fd, 1) < 0 ? -1 : courier_flush(c);
    close(fd);
    return rc;
}

static int send_configs(struct courier *c, struct runtime *rt)
{
    const struct generation *g;
    int rc = send_config(c, rt, rt->current);
    LIST_FOREACH(g, &rt->generations, in_all)
        if (rc == 0 && generation_has_sessions(g))
            rc = send_config(c, rt, g);
    return rc;
}

/* More descriptors than one parcel takes are sent in several, for the same address. */
static int send_socket(struct courier *c, const struct listen_socket *ls)
{
    for (size_t i = 0; i < ls->count;) {
        int fd[ESTATE_SOCKET_FDS];
        struct estate_socket e = { .at = ls->at, .file = ls->file };
        while (i < ls->count && e.count < ESTATE_SOCKET_FDS)
            fd[e.count++] = ls->share[i++].fd;
        if (courier_put(c, &e, sizeof e, fd, e.count) < 0)
            return -1;
    }
    return 0;
}

static int send_http(struct courier *c, struct runtime *rt)
{
    struct estate_socket e = { .of_http = 1, .count = 1 };
    int fd = http_socket(rt->http, &e.at, &e.file);
    return fd == -1 ? 0 : courier_put(c, &e, sizeof e, &fd, 1);
}

/* All that the service manager has handed over, whether in use or not. */
static int send_handed(struct courier *c, struct runtime *rt)
{
    const struct inherited *in = &rt->sockets.inherited;
    courier_open(c, PARCEL_HANDED);
    for (size_t i = 0; i < in->count; i++) {
        struct estate_handed e = { .number = in->socket[i]->number };
        memcpy(e.name, in->socket[i]->name, sizeof e.name);
        if (courier_put(c, &e, sizeof e, &in->socket[i]->fd, 1) < 0)
            return -1;
    }
    return courier_close(c);
}

/* Duplicates of what was handed over are made anew. */
static int send_sockets(struct courier *c, struct runtime *rt)
{
    const struct listen_socket *ls;
    courier_open(c, PARCEL_SOCKET);
    TAILQ_FOREACH(ls, &rt->sockets.all, in_list)
        if (ls->handed == NULL && send_socket(c, ls) < 0)
            return -1;
    return send_http(c, rt) < 0 ? -1 : courier_close(c);
}

static int send_admin(struct courier *c, struct runtime *rt)
{
    struct estate_socket e = { .count = 1 };
    int fd = admin_socket(rt->admin, &e.at, &e.file);
    courier_open(c, PARCEL_ADMIN);
    if (fd != -1 && courier_put(c, &e, sizeof e, &fd, 1) < 0)
        return -1;
    return courier_close(c);
}

static struct estate_check check_of(const struct verdict *v)
{
    struct estate_check e = {
        .settled = v->settled,
        .passed = v->passed,
        .streak = v->streak,
        .successes = v->successes,
        .failures = v->failures,
        .checked = v->checked,
        .changed = v->changed,
        .duration = v->duration,
    };
    memcpy(e.why, v->why, sizeof e.why);
    return e;
}

static int send_server(struct courier *c, struct runtime *rt, const struct pool *p,
                       struct backend *s)
{
    const struct verdict *v = health_verdict(rt->health, p, s);
    struct estate_server e = {
        .addr = s->addr,
        .check_address = s->check_address,
        .added = pool_was_added(p, s),
        .backup = pool_is_backup(p, s),
        .weight = atomic_load(&s->weight),
        .state = atomic_load(&s->state),
        .up = atomic_load(&s->up),
        .max_connections = atomic_load(&s->max_connections),
        .out_until = atomic_load(&s->out_until),
        .ramp_began = atomic_load(&s->ramp_began),
        .ramp_length = atomic_load(&s->ramp_length),
        .connections = atomic_load(&s->connections),
        .failures = atomic_load(&s->failures),
        .received = atomic_load(&s->received),
        .sent = atomic_load(&s->sent),
    };
    uint64_t left = 0;
    e.draining = drains_progress(&rt->drains, s, &e.drain, &left);
    if (v != NULL)
        e.check = check_of(v);
    copy_name(e.pool, pool_name(p));
    snprintf(e.name, sizeof e.name, "%s", backend_name(s));
    return courier_put(c, &e, sizeof e, NULL, 0);
}

static int send_answers_of(struct courier *c, const struct pool *p)
{
    const struct config_pool *conf = pool_conf(p);
    for (size_t line = 0; line < conf->server_count; line++) {
        size_t count = 0;
        if (conf->server[line].host == NULL)
            continue;
        const struct pool_answer *answer = pool_answers(p, line, &count);
        for (size_t i = 0; i < count; i++) {
            struct estate_answer e = {
                .line = (uint32_t)line,
                .weight = answer[i].weight,
                .backup = answer[i].backup,
                .addr = answer[i].addr,
            };
            copy_name(e.pool, pool_name(p));
            if (courier_put(c, &e, sizeof e, NULL, 0) < 0)
                return -1;
        }
    }
    return 0;
}

/* Answers first: they make the servers that the rest is about. */
static int send_pools(struct courier *c, struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    courier_open(c, PARCEL_ANSWERS);
    for (size_t i = 0; i < conf->pool_count; i++)
        if (send_answers_of(c, pools_find(&rt->pools, conf->pool[i].name)) < 0)
            return -1;
    if (courier_close(c) < 0)
        return -1;
    courier_open(c, PARCEL_SERVERS);
    for (size_t i = 0; i < conf->pool_count; i++) {
        size_t count = 0;
        const struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        struct backend *const *servers = pool_servers(p, &count);
        for (size_t j = 0; j < count; j++)
            if (send_server(c, rt, p, servers[j]) < 0)
                return -1;
    }
    return courier_close(c);
}

static int send_ended(struct courier *c, const struct entrance *in)
{
    const struct end_counts *counts;
    LIST_FOREACH(counts, &in->ended, in_entrance) {
        struct estate_entrance e = { .connections = 0 };
        copy_name(e.name, in->name);
        copy_name(e.pool, counts->pool);
        for (int i = 0; i < SESSION_ENDS; i++)
            e.ended[i] = atomic_load(&counts->ended[i]);
        if (courier_put(c, &e, sizeof e, NULL, 0) < 0)
            return -1;
    }
    return 0;
}

static int send_entrances(struct courier *c, struct runtime *rt)
{
    const struct entrance *in;
    courier_open(c, PARCEL_ENTRANCE);
    LIST_FOREACH(in, &rt->entrances, in_all) {
        struct estate_entrance e = { .connections = atomic_load(&in->connections) };
        copy_name(e.name, in->name);
        for (int i = 0; i < SESSION_ENDS; i++)
            e.refused[i] = atomic_load(&in->refused[i]);
        if (courier_put(c, &e, sizeof e, NULL, 0) < 0 || send_ended(c, in) < 0)
            return -1;
    }
    return courier_close(c);
}

int inventory_send(struct courier *c, struct runtime *rt)
{
    int rc = inventory_send_process(c, rt);
    if (rc == 0)
        rc = send_configs(c, rt);
    if (rc == 0)
        rc = send_handed(c, rt);
    if (rc == 0)
        rc = send_sockets(c, rt);
    if (rc == 0)
        rc = send_admin(c, rt);
    if (rc == 0)
        rc = send_pools(c, rt);
    return rc == 0 ? send_entrances(c, rt) : rc;
}
