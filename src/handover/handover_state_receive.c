#include "handover/handover_state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "config/place.h"
#include "control/config_change.h"
#include "handover/handover_messages.h"

/* A received configuration of the old process, until all are applied. */
struct old_config {
    struct handover_config head;
    struct config *conf;
};

static void handover_state_close_fd(int fd)
{
    if (fd != -1)
        close(fd);
}

static uint64_t handover_state_now_ms(void)
{
    return handover_channel_now_us() / 1000;
}

/* For the tables of handover_messages.h: from the item e into the object. Relaxed: no worker runs
 * yet, and its start (worker_start()) publishes the values to it. */
#define COPY_VALUE(type, name, kind) to->name = e->name;
#define STORE_VALUE(type, name, kind) \
    atomic_store_explicit(&to->name, e->name, memory_order_relaxed);
#define STORE_COUNTER(name) counter_set(&to->name, e->name);
#define STORE_COUNTERS(name, length)      \
    for (size_t i = 0; i < (length); i++) \
        counter_set(&to->name[i], e->name[i]);

/* The counters are received twice; the second message counts lines dropped since the first. The
 * old process logs its own losses until it closes its log, so they are not counted as unreported.
 */
static void add_log_dropped(struct handover_state *state, const struct handover_process *e)
{
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        const struct log_loss loss = { .dropped = e->log_dropped[i] - state->log_dropped[i] };
        if (e->log_dropped[i] > state->log_dropped[i])
            log_add_dropped((enum log_name)i, &loss);
        state->log_dropped[i] = e->log_dropped[i];
    }
}

static void restore_process(struct runtime *to, const struct handover_process *e)
{
    HANDOVER_PROCESS_COUNTERS(COPY_VALUE)
    atomic_store_explicit(&to->last_session_id, e->last_session_id, memory_order_relaxed);
    to->workers.retired = e->totals;
    log_set_level((enum log_level)e->log_level);
    privileges_set_dumpable(e->is_dumpable != 0);
}

static int receive_process(struct handover_state *state)
{
    struct handover_process e;
    int pid_file = -1;
    int rc = handover_channel_take(state->channel, "the counters", &e, sizeof e, &pid_file, 1);
    if (rc <= 0)
        return rc < 0 ? rc : handover_channel_refuse(state->channel, "the counters are missing");
    const char *why = handover_check_process(&e, pid_file);
    if (why != NULL) {
        handover_state_close_fd(pid_file);
        return handover_channel_refuse(state->channel, "the counters: %s", why);
    }
    pid_file_adopt(&state->rt->pid_file, pid_file);
    restore_process(state->rt, &e);
    add_log_dropped(state, &e);
    return handover_channel_expect_end(state->channel);
}

/* Collects the errors of a configuration: all lines go to state->errors, the first one into the
 * refusal. */
struct config_errors {
    FILE *out;
    char *text;
    size_t size;
};

static int config_errors_open(struct config_errors *o)
{
    *o = (struct config_errors){ .text = NULL };
    o->out = open_memstream(&o->text, &o->size);
    return o->out == NULL ? -ENOMEM : 0;
}

static void config_errors_close(struct handover_state *state, struct config_errors *o)
{
    if (fclose(o->out) == EOF || o->text == NULL)
        return;
    fputs(o->text, state->errors);
    o->text[strcspn(o->text, "\n")] = '\0';
}

static int refuse_config(struct handover_state *state, const struct config_errors *o,
                         uint32_t number, const char *what)
{
    return handover_channel_refuse(state->channel, "configuration %u %s: %s", number, what,
                                   o->text == NULL || *o->text == '\0' ? "out of memory" : o->text);
}

static bool has_number(const struct handover_state *state, uint32_t number)
{
    for (size_t i = 0; i < state->old_config_count; i++)
        if (state->old_config[i].head.number == number)
            return true;
    return false;
}

/* The first configuration is the one in force; the others are older. */
static const char *check_next_config(const struct handover_state *state,
                                     const struct handover_config *e, int fd)
{
    const char *why = handover_check_config(e, fd);
    if (why != NULL)
        return why;
    if (e->in_force != (state->old_config_count == 0))
        return "the first one, and no other, must be in force";
    if (has_number(state, e->number) ||
        (state->old_config_count > 0 && e->number > state->old_config[0].head.number))
        return "its number is used twice, or is higher than that of the one in force";
    return NULL;
}

static int add_config(struct handover_state *state, const struct handover_config *e, int fd)
{
    struct old_config *more =
        realloc(state->old_config, (state->old_config_count + 1) * sizeof *more);
    if (more == NULL)
        return handover_channel_refuse(state->channel, "out of memory");
    state->old_config = more;
    char path[32];
    struct config_errors o;
    if (config_errors_open(&o) < 0)
        return handover_channel_refuse(state->channel, "out of memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct config *conf = config_load(path, o.out);
    config_errors_close(state, &o);
    int rc = conf == NULL ? refuse_config(state, &o, e->number, "is not valid here") : 0;
    free(o.text);
    if (rc == 0)
        state->old_config[state->old_config_count++] =
            (struct old_config){ .head = *e, .conf = conf };
    return rc;
}

static int receive_configs(struct handover_state *state)
{
    struct handover_config e;
    int fd = -1;
    int rc;
    while ((rc = handover_channel_take(state->channel, "a configuration", &e, sizeof e, &fd, 1)) >
           0) {
        const char *why = check_next_config(state, &e, fd);
        rc = why == NULL
                 ? add_config(state, &e, fd)
                 : handover_channel_refuse(state->channel, "configuration %u: %s", e.number, why);
        handover_state_close_fd(fd);
        if (rc < 0)
            break;
    }
    return rc;
}

static int receive_socket(struct handover_state *state, const struct handover_socket *e,
                          const int fd[HANDOVER_SOCKET_FDS])
{
    const char *why = handover_check_socket(e, fd);
    if (why != NULL) {
        char text[ADDR_TEXT_MAX] = "";
        for (size_t i = 0; i < HANDOVER_SOCKET_FDS; i++)
            handover_state_close_fd(fd[i]);
        return handover_channel_refuse(state->channel, "listening socket %s: %s",
                                       addr_is_valid(&e->at) ? addr_print(&e->at, text) : text,
                                       why);
    }
    if (e->is_http)
        http_adopt(state->rt->http, &e->at, &e->file, fd[0]);
    else if (listen_sockets_adopt(&state->rt->listen_sockets, &e->at, &e->file, fd, e->count) < 0)
        return handover_channel_refuse(state->channel, "out of memory");
    return 0;
}

static int receive_sockets(struct handover_state *state)
{
    struct handover_socket e;
    int fd[HANDOVER_SOCKET_FDS];
    int rc;
    while ((rc = handover_channel_take(state->channel, "a listening socket", &e, sizeof e, fd,
                                       HANDOVER_SOCKET_FDS)) > 0)
        if ((rc = receive_socket(state, &e, fd)) < 0)
            break;
    return rc;
}

static int receive_inherited(struct handover_state *state)
{
    struct handover_inherited e;
    int fd = -1;
    int rc;
    while ((rc = handover_channel_take(state->channel, "a socket of systemd", &e, sizeof e, &fd,
                                       1)) > 0) {
        const char *why = handover_check_inherited(&e, fd);
        if (why != NULL) {
            handover_state_close_fd(fd);
            return handover_channel_refuse(state->channel, "socket fd:%d of systemd: %s", e.number,
                                           why);
        }
        if (inherited_adopt(&state->rt->listen_sockets.inherited, e.name, e.number, fd) < 0)
            return handover_channel_refuse(state->channel, "out of memory");
    }
    return rc;
}

static int receive_admin(struct handover_state *state)
{
    struct handover_socket e;
    int fd = -1;
    int rc = handover_channel_take(state->channel, "the control socket", &e, sizeof e, &fd, 1);
    if (rc <= 0)
        return rc;
    const char *why = handover_check_admin(&e, fd);
    if (why != NULL) {
        handover_state_close_fd(fd);
        return handover_channel_refuse(state->channel, "the control socket: %s", why);
    }
    rc = admin_adopt(state->rt->admin, &e.at, &e.file, fd);
    return rc < 0 ? handover_channel_refuse(state->channel, "the control socket: %s", strerror(-rc))
                  : handover_channel_expect_end(state->channel);
}

/* Sessions from before a reload may use pools that the configuration in force does not have. Such a
 * pool is made and dropped at once: it is freed with the last session that uses it. */
static int make_old_pools(struct handover_state *state, const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        if (pools_find_any(&state->rt->pools, conf->pool[i].name) != NULL)
            continue;
        struct pool *p = pools_add(&state->rt->pools, &conf->pool[i]);
        if (p == NULL)
            return handover_channel_refuse(state->channel, "[pool %s]: %s", conf->pool[i].name,
                                           strerror(errno));
        pools_drop(&state->rt->pools, p);
    }
    return 0;
}

static int apply_old_config(struct handover_state *state, struct old_config *old)
{
    struct runtime *rt = state->rt;
    struct config *conf = old->conf;
    int rc = make_old_pools(state, conf);
    if (rc < 0)
        return rc;
    old->conf = NULL;
    struct generation *g = generation_new(old->head.number, conf);
    if (g == NULL)
        return handover_channel_refuse(state->channel, "out of memory");
    LIST_INSERT_HEAD(&rt->generations, g, in_all);
    if (generation_init_frontends(g, &rt->pools, &rt->listener_states, &rt->conn_limit) < 0)
        return handover_channel_refuse(state->channel, "out of memory");
    return 0;
}

static int apply_current_config(struct handover_state *state, struct old_config *old)
{
    struct config_change *config_change = NULL;
    struct config *conf = old->conf;
    struct config_errors o;
    if (config_errors_open(&o) < 0)
        return handover_channel_refuse(state->channel, "out of memory");
    old->conf = NULL;
    state->rt->last_generation = old->head.number - 1;
    config_change_swap_fixed(conf,
                             state->file_config); /* these keys apply as the file has them now */
    place_adopt(conf, state->file_config);
    int rc = config_change_prepare(state->rt, conf, o.out, &config_change);
    config_errors_close(state, &o);
    rc = rc < 0 ? refuse_config(state, &o, old->head.number, "cannot be applied here") : 0;
    free(o.text);
    if (rc == 0)
        config_change_commit(config_change);
    return rc;
}

int handover_state_apply_configs(struct handover_state *state)
{
    if (state->configs_applied)
        return 0;
    state->configs_applied = true;
    if (state->old_config_count == 0 || !state->old_config[0].head.in_force)
        return handover_channel_refuse(state->channel, "no configuration in force");
    int rc = apply_current_config(state, &state->old_config[0]);
    for (size_t i = 1; i < state->old_config_count && rc == 0; i++)
        rc = apply_old_config(state, &state->old_config[i]);
    return rc;
}

/* Call when all addresses of a name have been received. */
static int apply_answers(struct handover_state *state)
{
    size_t count = state->answer_count;
    struct pool *p = count == 0 ? NULL : pools_find(&state->rt->pools, state->answer_pool);
    state->answer_count = 0;
    if (count == 0)
        return 0;
    if (p == NULL || state->answer_line >= pool_conf(p)->server_count ||
        pool_conf(p)->server[state->answer_line].host == NULL)
        return handover_channel_refuse(state->channel,
                                       "addresses for server line %u of pool %s, which has no name",
                                       state->answer_line + 1, state->answer_pool);
    return pool_resolved(p, state->answer_line, state->answers, count) < 0
               ? handover_channel_refuse(state->channel, "out of memory")
               : 0;
}

static bool is_of_same_name(const struct handover_state *state, const struct handover_answer *e)
{
    return e->line == state->answer_line && strcmp(e->pool, state->answer_pool) == 0;
}

static int add_answer(struct handover_state *state, const struct handover_answer *e)
{
    int rc = is_of_same_name(state, e) ? 0 : apply_answers(state);
    if (rc < 0)
        return rc;
    if (state->answer_count == state->answer_capacity) {
        size_t room = 2 * state->answer_capacity + 64;
        struct pool_answer *more = realloc(state->answers, room * sizeof *more);
        if (more == NULL)
            return handover_channel_refuse(state->channel, "out of memory");
        state->answers = more;
        state->answer_capacity = room;
    }
    memcpy(state->answer_pool, e->pool, sizeof state->answer_pool);
    state->answer_line = e->line;
    state->answers[state->answer_count++] =
        (struct pool_answer){ e->addr, e->weight, e->backup != 0 };
    return 0;
}

/* The addresses of one name may be in two messages. */
static int receive_answers(struct handover_state *state)
{
    struct handover_answer e;
    int rc;
    while ((rc = handover_channel_take(state->channel, "an address", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = handover_check_answer(&e);
        if (why != NULL)
            return handover_channel_refuse(state->channel, "an address of a name: %s", why);
        if ((rc = add_answer(state, &e)) < 0)
            break;
    }
    return rc;
}

static void restore_server(struct server *to, const struct handover_server *e)
{
    HANDOVER_SERVER_STATE(STORE_VALUE)
    HANDOVER_SERVER_LIMITS(STORE_VALUE)
    HANDOVER_SERVER_COUNTERS(STORE_COUNTERS)
}

static struct health_state unpack_health(const struct handover_health *e, bool up)
{
    struct health_state health = { .up = up };
    struct health_state *to = &health;
    HANDOVER_HEALTH_VALUES(COPY_VALUE)
    memcpy(to->why, e->why, sizeof to->why);
    return health;
}

/* Adds a server that was added at run time: the configuration does not have it. */
static struct server *add_runtime_server(struct pool *p, struct handover_server *e)
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

static void log_lost_server(const struct handover_server *e)
{
    char text[ADDR_TEXT_MAX];
    struct log_line line;
    log_begin(&line, LOG_LEVEL_WARNING, "upgrade");
    log_str(&line, "pool", e->pool);
    log_str(&line, "server", e->name);
    log_str(&line, "address", addr_print(&e->addr, text));
    log_str(&line, "msg",
            "the new program's pool has no such server: its weight, state and counters are lost");
    log_end(&line);
}

static int receive_server(struct handover_state *state, struct handover_server *e)
{
    struct pool *p = pools_find(&state->rt->pools, e->pool);
    struct server *srv = p == NULL ? NULL : pool_find(p, &e->addr, e->name);
    if (srv == NULL && p != NULL && e->added)
        srv = add_runtime_server(p, e);
    if (srv == NULL) {
        log_lost_server(e);
        return 0;
    }
    restore_server(srv, e);
    const struct health_state health = unpack_health(&e->check, e->up != 0);
    health_restore(state->rt->health, p, srv, &health);
    if (e->draining && drains_resume(&state->rt->drains, p, srv, &e->drain) < 0)
        return handover_channel_refuse(state->channel, "out of memory");
    return 0;
}

static int receive_servers(struct handover_state *state)
{
    struct handover_server e;
    int rc = apply_answers(state);
    if (rc < 0)
        return rc;
    while ((rc = handover_channel_take(state->channel, "a server", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = handover_check_server(&e, handover_state_now_ms());
        if (why != NULL)
            return handover_channel_refuse(state->channel, "server %.*s of pool %.*s: %s", 60,
                                           e.name, 60, e.pool, why);
        if ((rc = receive_server(state, &e)) < 0)
            break;
    }
    return rc;
}

static void restore_end_counts(struct listener_state *in, const struct handover_listener *e)
{
    struct end_counts *to = end_counts_find(&in->ended, e->pool);
    if (to == NULL)
        return;
    HANDOVER_END_COUNTERS(STORE_COUNTERS)
}

static void restore_listener(struct listener_state *to, const struct handover_listener *e)
{
    HANDOVER_LISTENER_COUNTERS(STORE_COUNTER, STORE_COUNTERS)
    HANDOVER_LISTENER_VALUES(COPY_VALUE)
}

/* The counters of a listener that no configuration here has are dropped. */
static void receive_listener(struct handover_state *state, const struct handover_listener *e)
{
    struct listener_state *in;
    LIST_FOREACH(in, &state->rt->listener_states, in_all)
        if (strcmp(in->name, e->name) == 0) {
            if (e->pool[0] == '\0')
                restore_listener(in, e);
            else
                restore_end_counts(in, e);
        }
}

static int receive_listeners(struct handover_state *state)
{
    struct handover_listener e;
    int rc;
    while ((rc = handover_channel_take(state->channel, "a listener", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = handover_check_listener(&e);
        if (why != NULL)
            return handover_channel_refuse(state->channel, "a listener: %s", why);
        receive_listener(state, &e);
    }
    return rc;
}

/* A pool that the new program's file does not have is dropped. */
static int receive_pools(struct handover_state *state)
{
    struct handover_pool e;
    int rc;
    while ((rc = handover_channel_take(state->channel, "a pool", &e, sizeof e, NULL, 0)) > 0) {
        const char *why = handover_check_pool(&e, handover_state_now_ms());
        if (why != NULL)
            return handover_channel_refuse(state->channel, "a pool: %s", why);
        struct pool *p = pools_find(&state->rt->pools, e.name);
        if (p == NULL)
            continue;
        pool_restore(p, e.paused != 0, e.last_usable);
        if (e.rebalancing && rebalances_resume(&state->rt->rebalances, p, &e.rebalance) < 0)
            return handover_channel_refuse(state->channel, "out of memory");
    }
    return rc;
}

static void rebuild_pool(void *arg, struct pool *p)
{
    int *rc = arg;
    if (*rc == 0)
        *rc = pool_rebuild(p);
}

int handover_state_finish(struct handover_state *state)
{
    int rc = apply_answers(state);
    if (rc < 0)
        return rc;
    pools_each(&state->rt->pools, rebuild_pool, &rc);
    return rc < 0 ? handover_channel_refuse(state->channel, "servers: %s", strerror(-rc)) : 0;
}

static int receive_of_config(struct handover_state *state,
                             int (*receive)(struct handover_state *state))
{
    int rc = handover_state_apply_configs(state);
    return rc < 0 ? rc : receive(state);
}

int handover_state_receive(struct handover_state *state)
{
    switch ((enum handover_message_type)state->channel->message->type) {
    case HANDOVER_OFFER:
        return receive_process(state);
    case HANDOVER_CONFIG:
        return receive_configs(state);
    case HANDOVER_SOCKET:
        return receive_sockets(state);
    case HANDOVER_INHERITED:
        return receive_inherited(state);
    case HANDOVER_ADMIN:
        return receive_admin(state);
    case HANDOVER_ANSWERS:
        return receive_of_config(state, receive_answers);
    case HANDOVER_SERVERS:
        return receive_of_config(state, receive_servers);
    case HANDOVER_LISTENERS:
        return receive_of_config(state, receive_listeners);
    case HANDOVER_POOLS:
        return receive_of_config(state, receive_pools);
    default:
        return handover_channel_refuse(state->channel, "a message of an unexpected type");
    }
}

void handover_state_fini(struct handover_state *state)
{
    for (size_t i = 0; i < state->old_config_count; i++)
        config_free(state->old_config[i].conf);
    free(state->old_config);
    free(state->answers);
}
