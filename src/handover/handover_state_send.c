#include "handover/handover_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "handover/handover_messages.h"

int handover_state_send_process(struct handover_channel *c, struct runtime *rt)
{
    struct handover_process e = {
        .last_session_id = atomic_load(&rt->last_session_id),
        .reloads = rt->reloads,
        .failed_reloads = rt->failed_reloads,
        .began = rt->began,
        .log_level = (uint32_t)log_level(),
        .is_open = privileges_is_dumpable(),
    };
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        e.log_dropped[i] = rt->log_dropped_sent[i] = state.dropped;
    }
    workers_totals(&rt->workers, &e.totals);
    handover_channel_begin(c, HANDOVER_OFFER);
    return handover_channel_add(c, &e, sizeof e, &rt->pid_file.fd, 1) < 0
               ? -1
               : handover_channel_flush(c);
}

static int write_config_memfd(const struct config *conf)
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

static int send_config(struct handover_channel *c, struct runtime *rt, const struct generation *g)
{
    const struct handover_config e = { g->number, g == rt->current };
    int fd = write_config_memfd(g->conf);
    if (fd < 0)
        return handover_channel_fail(c, "writing the configuration", fd);
    handover_channel_begin(c, HANDOVER_CONFIG);
    int rc = handover_channel_add(c, &e, sizeof e, &fd, 1) < 0 ? -1 : handover_channel_flush(c);
    close(fd);
    return rc;
}

static int send_configs(struct handover_channel *c, struct runtime *rt)
{
    const struct generation *g;
    int rc = send_config(c, rt, rt->current);
    LIST_FOREACH(g, &rt->generations, in_all)
        if (rc == 0 && generation_has_sessions(g))
            rc = send_config(c, rt, g);
    return rc;
}

/* More descriptors than one parcel takes are sent in several, for the same address. */
static int send_socket(struct handover_channel *c, const struct listen_socket *ls)
{
    for (size_t i = 0; i < ls->count;) {
        int fd[HANDOVER_SOCKET_FDS];
        struct handover_socket e = { .at = ls->at, .file = ls->file };
        while (i < ls->count && e.count < HANDOVER_SOCKET_FDS)
            fd[e.count++] = ls->share[i++].fd;
        if (handover_channel_add(c, &e, sizeof e, fd, e.count) < 0)
            return -1;
    }
    return 0;
}

static int send_http(struct handover_channel *c, struct runtime *rt)
{
    struct handover_socket e = { .is_http = 1, .count = 1 };
    int fd = http_socket(rt->http, &e.at, &e.file);
    return fd == -1 ? 0 : handover_channel_add(c, &e, sizeof e, &fd, 1);
}

/* All that the service manager has handed over, whether in use or not. */
static int send_inherited(struct handover_channel *c, struct runtime *rt)
{
    const struct inherited *in = &rt->listen_sockets.inherited;
    handover_channel_begin(c, HANDOVER_INHERITED);
    for (size_t i = 0; i < in->count; i++) {
        struct handover_inherited e = { .number = in->socket[i]->number };
        memcpy(e.name, in->socket[i]->name, sizeof e.name);
        if (handover_channel_add(c, &e, sizeof e, &in->socket[i]->fd, 1) < 0)
            return -1;
    }
    return handover_channel_end(c);
}

/* Duplicates of what was handed over are made anew. */
static int send_sockets(struct handover_channel *c, struct runtime *rt)
{
    const struct listen_socket *ls;
    handover_channel_begin(c, HANDOVER_SOCKET);
    TAILQ_FOREACH(ls, &rt->listen_sockets.all, in_list)
        if (ls->inherited == NULL && send_socket(c, ls) < 0)
            return -1;
    return send_http(c, rt) < 0 ? -1 : handover_channel_end(c);
}

static int send_admin(struct handover_channel *c, struct runtime *rt)
{
    struct handover_socket e = { .count = 1 };
    int fd = admin_socket(rt->admin, &e.at, &e.file);
    handover_channel_begin(c, HANDOVER_ADMIN);
    if (fd != -1 && handover_channel_add(c, &e, sizeof e, &fd, 1) < 0)
        return -1;
    return handover_channel_end(c);
}

static struct handover_check_result handover_state_check_result(const struct health_state *result)
{
    struct handover_check_result e = {
        .settled = result->settled,
        .passed = result->passed,
        .streak = result->streak,
        .successes = result->successes,
        .failures = result->failures,
        .checked = result->checked,
        .changed = result->changed,
        .duration = result->duration,
    };
    memcpy(e.why, result->why, sizeof e.why);
    return e;
}

static int send_server(struct handover_channel *c, struct runtime *rt, const struct pool *p,
                       struct server *s)
{
    const struct health_state *result = health_find_state(rt->health, p, s);
    struct handover_server e = {
        .addr = s->addr,
        .check_address = s->check_address,
        .added = pool_was_added(p, s),
        .backup = pool_is_backup(p, s),
        .weight = atomic_load(&s->weight),
        .state = atomic_load(&s->state),
        .up = atomic_load(&s->up),
        .max_connections = atomic_load(&s->max_connections),
        .out_until = atomic_load(&s->out_until),
        .slow_start_began = atomic_load(&s->slow_start_began),
        .slow_start_length = atomic_load(&s->slow_start_length),
    };
    for (int i = 0; i < SERVER_COUNTERS; i++)
        e.counter[i] = counter_get(&s->counter[i]);
    uint64_t left = 0;
    e.draining = drains_progress(&rt->drains, s, &e.drain, &left);
    if (result != NULL)
        e.check = handover_state_check_result(result);
    text_copy(e.pool, sizeof e.pool, pool_name(p));
    text_copy(e.name, sizeof e.name, server_name(s));
    return handover_channel_add(c, &e, sizeof e, NULL, 0);
}

static int send_answers_of(struct handover_channel *c, const struct pool *p)
{
    const struct config_pool *conf = pool_conf(p);
    for (size_t line = 0; line < conf->server_count; line++) {
        size_t count = 0;
        if (conf->server[line].host == NULL)
            continue;
        const struct pool_answer *answer = pool_answers(p, line, &count);
        for (size_t i = 0; i < count; i++) {
            struct handover_answer e = {
                .line = (uint32_t)line,
                .weight = answer[i].weight,
                .backup = answer[i].backup,
                .addr = answer[i].addr,
            };
            text_copy(e.pool, sizeof e.pool, pool_name(p));
            if (handover_channel_add(c, &e, sizeof e, NULL, 0) < 0)
                return -1;
        }
    }
    return 0;
}

/* Answers first: they make the servers that the rest is about. */
static int send_pools(struct handover_channel *c, struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    handover_channel_begin(c, HANDOVER_ANSWERS);
    for (size_t i = 0; i < conf->pool_count; i++)
        if (send_answers_of(c, pools_find(&rt->pools, conf->pool[i].name)) < 0)
            return -1;
    if (handover_channel_end(c) < 0)
        return -1;
    handover_channel_begin(c, HANDOVER_SERVERS);
    for (size_t i = 0; i < conf->pool_count; i++) {
        size_t count = 0;
        const struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        struct server *const *servers = pool_servers(p, &count);
        for (size_t j = 0; j < count; j++)
            if (send_server(c, rt, p, servers[j]) < 0)
                return -1;
    }
    return handover_channel_end(c);
}

static int send_end_counts(struct handover_channel *c, const struct listener_state *in)
{
    const struct end_counts *counts;
    LIST_FOREACH(counts, &in->ended, in_listener_state) {
        struct handover_listener e = { .connections = 0 };
        text_copy(e.name, sizeof e.name, in->name);
        text_copy(e.pool, sizeof e.pool, counts->pool);
        for (int i = 0; i < SESSION_ENDS; i++)
            e.ended[i] = counter_get(&counts->ended[i]);
        if (handover_channel_add(c, &e, sizeof e, NULL, 0) < 0)
            return -1;
    }
    return 0;
}

static int send_listeners(struct handover_channel *c, struct runtime *rt)
{
    const struct listener_state *in;
    handover_channel_begin(c, HANDOVER_LISTENERS);
    LIST_FOREACH(in, &rt->listener_states, in_all) {
        struct handover_listener e = { .connections = counter_get(&in->connections) };
        text_copy(e.name, sizeof e.name, in->name);
        for (int i = 0; i < SESSION_ENDS; i++)
            e.refused[i] = counter_get(&in->refused[i]);
        if (handover_channel_add(c, &e, sizeof e, NULL, 0) < 0 || send_end_counts(c, in) < 0)
            return -1;
    }
    return handover_channel_end(c);
}

int handover_state_send(struct handover_channel *c, struct runtime *rt)
{
    int rc = handover_state_send_process(c, rt);
    if (rc == 0)
        rc = send_configs(c, rt);
    if (rc == 0)
        rc = send_inherited(c, rt);
    if (rc == 0)
        rc = send_sockets(c, rt);
    if (rc == 0)
        rc = send_admin(c, rt);
    if (rc == 0)
        rc = send_pools(c, rt);
    return rc == 0 ? send_listeners(c, rt) : rc;
}
