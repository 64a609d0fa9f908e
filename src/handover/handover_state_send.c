#include "handover/handover_state.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "base/text.h"
#include "control/healthz.h"
#include "handover/handover_messages.h"

/* For the tables of handover_messages.h: from the object into the item e. Relaxed: while workers
 * run each value stands for itself; once they are paused the semaphores of the pause order all. */
#define COPY_VALUE(type, name, kind) e.name = (type)from->name;
#define LOAD_VALUE(type, name, kind) \
    e.name = (type)atomic_load_explicit(&from->name, memory_order_relaxed);
#define LOAD_COUNTER(name) e.name = counter_get(&from->name);
#define LOAD_COUNTERS(name, length)       \
    for (size_t i = 0; i < (length); i++) \
        e.name[i] = counter_get(&from->name[i]);

int handover_state_send_process(struct handover_channel *c, struct runtime *from)
{
    struct handover_process e = {
        .last_session_id = atomic_load_explicit(&from->last_session_id, memory_order_relaxed),
        .log_level = (uint32_t)log_level(),
        .is_dumpable = privileges_is_dumpable(),
    };
    healthz_remember(from);
    HANDOVER_PROCESS_COUNTERS(COPY_VALUE)
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        e.log_dropped[i] = from->log_dropped_sent[i] = state.dropped;
    }
    workers_totals(&from->workers, &e.totals);
    handover_channel_begin(c, HANDOVER_OFFER);
    int rc = handover_channel_add(c, &e, sizeof e, &from->pid_file.fd, 1);
    return rc < 0 ? rc : handover_channel_flush(c);
}

static int write_config_memfd(const struct config *conf)
{
    int fd = memfd_create("zproxy.ini", MFD_CLOEXEC);
    int copy = fd == -1 ? -1 : dup(fd);
    FILE *out = copy == -1 ? NULL : fdopen(copy, "w");
    if (out == NULL) {
        int error = errno;
        if (copy != -1)
            close(copy);
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
    int rc = handover_channel_add(c, &e, sizeof e, &fd, 1);
    if (rc == 0)
        rc = handover_channel_flush(c);
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

/* An item for every HANDOVER_SOCKET_FDS descriptors. */
static int send_socket(struct handover_channel *c, const struct listen_socket *ls)
{
    for (size_t i = 0; i < ls->count;) {
        int fd[HANDOVER_SOCKET_FDS];
        struct handover_socket e = { .at = ls->at, .file = ls->file };
        while (i < ls->count && e.count < HANDOVER_SOCKET_FDS)
            fd[e.count++] = ls->share[i++].fd;
        int rc = handover_channel_add(c, &e, sizeof e, fd, e.count);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int send_http(struct handover_channel *c, struct runtime *rt)
{
    struct handover_socket e = { .is_http = 1, .count = 1 };
    int fd = http_socket(rt->http, &e.at, &e.file);
    return fd == -1 ? 0 : handover_channel_add(c, &e, sizeof e, &fd, 1);
}

/* All sockets that the service manager has passed, whether in use or not. */
static int send_inherited(struct handover_channel *c, struct runtime *rt)
{
    const struct inherited *in = &rt->listen_sockets.inherited;
    handover_channel_begin(c, HANDOVER_INHERITED);
    for (size_t i = 0; i < in->count; i++) {
        struct handover_inherited e = { .number = in->socket[i]->number };
        memcpy(e.name, in->socket[i]->name, sizeof e.name);
        int rc = handover_channel_add(c, &e, sizeof e, &in->socket[i]->fd, 1);
        if (rc < 0)
            return rc;
    }
    return handover_channel_end(c);
}

/* Without listeners that use an inherited socket: the new process duplicates that again. */
static int send_sockets(struct handover_channel *c, struct runtime *rt)
{
    const struct listen_socket *ls;
    int rc = 0;
    handover_channel_begin(c, HANDOVER_SOCKET);
    TAILQ_FOREACH(ls, &rt->listen_sockets.all, in_list)
        if (rc == 0 && ls->inherited == NULL)
            rc = send_socket(c, ls);
    if (rc == 0)
        rc = send_http(c, rt);
    return rc < 0 ? rc : handover_channel_end(c);
}

static int send_admin(struct handover_channel *c, struct runtime *rt)
{
    struct handover_socket e = { .count = 1 };
    int fd = admin_socket(rt->admin, &e.at, &e.file);
    handover_channel_begin(c, HANDOVER_ADMIN);
    int rc = fd == -1 ? 0 : handover_channel_add(c, &e, sizeof e, &fd, 1);
    return rc < 0 ? rc : handover_channel_end(c);
}

static struct handover_health pack_health(const struct health_state *from)
{
    struct handover_health e = { .settled = 0 };
    HANDOVER_HEALTH_VALUES(COPY_VALUE)
    memcpy(e.why, from->why, sizeof e.why);
    return e;
}

static int send_server(struct handover_channel *c, struct runtime *rt, const struct pool *p,
                       struct server *from)
{
    const struct health_state *health = health_find_state(rt->health, p, from);
    struct handover_server e = {
        .addr = from->addr,
        .check_address = from->check_address,
        .added = pool_was_added(p, from),
        .backup = pool_is_backup(p, from),
    };
    HANDOVER_SERVER_STATE(LOAD_VALUE)
    HANDOVER_SERVER_LIMITS(LOAD_VALUE)
    HANDOVER_SERVER_COUNTERS(LOAD_COUNTERS)
    uint64_t left = 0;
    e.draining = drains_progress(&rt->drains, from, &e.drain, &left);
    if (health != NULL)
        e.check = pack_health(health);
    text_copy(e.pool, sizeof e.pool, pool_name(p));
    text_copy(e.name, sizeof e.name, server_name(from));
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
            int rc = handover_channel_add(c, &e, sizeof e, NULL, 0);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

static int send_answers(struct handover_channel *c, struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    int rc = 0;
    handover_channel_begin(c, HANDOVER_ANSWERS);
    for (size_t i = 0; i < conf->pool_count && rc == 0; i++)
        rc = send_answers_of(c, pools_find(&rt->pools, conf->pool[i].name));
    return rc < 0 ? rc : handover_channel_end(c);
}

static int send_servers_of(struct handover_channel *c, struct runtime *rt, const struct pool *p)
{
    size_t count = 0;
    struct server *const *servers = pool_servers(p, &count);
    int rc = 0;
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = send_server(c, rt, p, servers[i]);
    return rc;
}

static int send_servers(struct handover_channel *c, struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    int rc = 0;
    handover_channel_begin(c, HANDOVER_SERVERS);
    for (size_t i = 0; i < conf->pool_count && rc == 0; i++)
        rc = send_servers_of(c, rt, pools_find(&rt->pools, conf->pool[i].name));
    return rc < 0 ? rc : handover_channel_end(c);
}

static int send_end_counts(struct handover_channel *c, const char *listener,
                           const struct end_counts *from)
{
    struct handover_listener e = { .connections = 0 };
    HANDOVER_END_COUNTERS(LOAD_COUNTERS)
    text_copy(e.name, sizeof e.name, listener);
    text_copy(e.pool, sizeof e.pool, from->pool);
    return handover_channel_add(c, &e, sizeof e, NULL, 0);
}

static int send_listener(struct handover_channel *c, const struct listener_state *from)
{
    const struct end_counts *counts;
    struct handover_listener e = { .connections = 0 };
    HANDOVER_LISTENER_COUNTERS(LOAD_COUNTER, LOAD_COUNTERS)
    HANDOVER_LISTENER_VALUES(COPY_VALUE)
    text_copy(e.name, sizeof e.name, from->name);
    int rc = handover_channel_add(c, &e, sizeof e, NULL, 0);
    LIST_FOREACH(counts, &from->ended, in_listener_state)
        if (rc == 0)
            rc = send_end_counts(c, from->name, counts);
    return rc;
}

static int send_listeners(struct handover_channel *c, struct runtime *rt)
{
    const struct listener_state *in;
    int rc = 0;
    handover_channel_begin(c, HANDOVER_LISTENERS);
    LIST_FOREACH(in, &rt->listener_states, in_all)
        if (rc == 0)
            rc = send_listener(c, in);
    return rc < 0 ? rc : handover_channel_end(c);
}

static int send_pools(struct handover_channel *c, struct runtime *rt)
{
    const struct config *conf = runtime_conf(rt);
    int rc = 0;
    handover_channel_begin(c, HANDOVER_POOLS);
    for (size_t i = 0; i < conf->pool_count && rc == 0; i++) {
        struct pool *p = pools_find(&rt->pools, conf->pool[i].name);
        struct handover_pool e = {
            .paused = pool_is_paused(p),
            .last_usable = pool_last_usable(p, uv_now(rt->loop)),
        };
        uint64_t left = 0;
        e.rebalancing = rebalances_progress(&rt->rebalances, p, &e.rebalance, &left);
        text_copy(e.name, sizeof e.name, pool_name(p));
        rc = handover_channel_add(c, &e, sizeof e, NULL, 0);
    }
    return rc < 0 ? rc : handover_channel_end(c);
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
        rc = send_answers(c, rt); /* before servers: the new process makes servers of them */
    if (rc == 0)
        rc = send_servers(c, rt);
    if (rc == 0)
        rc = send_listeners(c, rt);
    return rc == 0 ? send_pools(c, rt) : rc;
}
