#include "upgrade/heir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/change.h"
#include "upgrade/estate.h"
#include "upgrade/parcel.h"

/* A session that has been taken over as far as its terms go. */
struct staged {
    uint64_t id;
    struct session *session; /* NULL: it has its moment */
};

/* A configuration that has come, until all have. */
struct legacy {
    struct estate_config head;
    struct config *conf;
};

struct heir {
    struct runtime *rt;
    int sock;
    struct config *own;
    FILE *errors;
    struct parcel *parcel;
    struct legacy *legacy;
    size_t legacy_count;
    bool settled_in; /* the configurations are in force */
    struct staged *staged;
    size_t staged_count;
    size_t staged_room;
    struct session **late; /* those that were not settled */
    size_t late_count;
    size_t late_room;
};

static int __attribute__((format(printf, 2, 3))) refuse(struct heir *h, const char *fmt, ...)
{
    va_list args;
    struct parcel *p = h->parcel;
    parcel_init(p, PARCEL_REFUSE);
    va_start(args, fmt);
    int n = vsnprintf(p->data, 500, fmt, args);
    va_end(args);
    p->size = n < 0 ? 0 : strlen(p->data) + 1;
    fprintf(h->errors, "taking over: %s\n", p->data);
    (void)parcel_send(h->sock, p, PARCEL_PATIENCE);
    return -1;
}

/* ---- what stands still ---- */

static int take_process(struct heir *h)
{
    struct estate_process e;
    struct parcel_place at = { 0, 0 };
    int pid_file = -1;
    if (!parcel_take(h->parcel, &at, &e, sizeof e, &pid_file, 1))
        return refuse(h, "counters that make no sense");
    struct runtime *rt = h->rt;
    pid_file_adopt(&rt->pid_file, pid_file);
    atomic_store(&rt->last_session_id, e.last_session_id);
    rt->reloads = e.reloads;
    rt->failed_reloads = e.failed_reloads;
    rt->began = e.began;
    rt->crew.past = e.totals;
    return 0;
}

static struct config *load(struct heir *h, int fd)
{
    char path[32];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return config_load(path, h->errors);
}

static int take_config(struct heir *h)
{
    struct legacy l = { .conf = NULL };
    struct parcel_place at = { 0, 0 };
    int fd = -1;
    struct legacy *more = realloc(h->legacy, (h->legacy_count + 1) * sizeof *more);
    if (more == NULL)
        return refuse(h, "out of memory");
    h->legacy = more;
    if (!parcel_take(h->parcel, &at, &l.head, sizeof l.head, &fd, 1) || fd == -1)
        return refuse(h, "a configuration that makes no sense");
    l.conf = load(h, fd);
    close(fd);
    if (l.conf == NULL)
        return refuse(h, "the configuration in force is not understood");
    h->legacy[h->legacy_count++] = l;
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

static int take_sockets(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < h->parcel->count && rc == 0; i++) {
        struct estate_socket e;
        int fd[64];
        if (!parcel_take(h->parcel, &at, &e, sizeof e, fd, 64) || !are_there(fd, e.count))
            rc = refuse(h, "a listening socket that makes no sense");
        else if (e.of_http && e.count == 1)
            http_adopt(h->rt->http, &e.at, fd[0]);
        else if (sockets_adopt(&h->rt->sockets, &e.at, fd, e.count) < 0)
            rc = refuse(h, "out of memory");
    }
    parcel_close_rest(h->parcel, &at);
    return rc;
}

static bool is_text(const char *text, size_t size)
{
    return strnlen(text, size) < size;
}

static int take_handed(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < h->parcel->count && rc == 0; i++) {
        struct estate_handed e;
        int fd = -1;
        if (!parcel_take(h->parcel, &at, &e, sizeof e, &fd, 1) || fd == -1 ||
            !is_text(e.name, sizeof e.name))
            rc = refuse(h, "a socket of systemd's that makes no sense");
        else if (inherited_adopt(&h->rt->sockets.inherited, e.name, e.number, fd) < 0)
            rc = refuse(h, "out of memory");
    }
    parcel_close_rest(h->parcel, &at);
    return rc;
}

static int take_admin(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    struct estate_socket e;
    int fd = -1;
    if (!parcel_take(h->parcel, &at, &e, sizeof e, &fd, 1) || fd == -1)
        return refuse(h, "a control socket that makes no sense");
    int rc = admin_adopt(h->rt->admin, &e.at, fd);
    return rc < 0 ? refuse(h, "the control socket: %s", strerror(-rc)) : 0;
}

/* Pools that only sessions from before a reload use are made for them, and dropped again: they go
 * with the last of these sessions. */
static int make_old_pools(struct heir *h, const struct config *conf)
{
    for (size_t i = 0; i < conf->pool_count; i++) {
        if (pools_find_any(&h->rt->pools, conf->pool[i].name) != NULL)
            continue;
        struct pool *p = pools_add(&h->rt->pools, &conf->pool[i]);
        if (p == NULL)
            return refuse(h, "[pool %s]: %s", conf->pool[i].name, strerror(errno));
        pools_drop(&h->rt->pools, p);
    }
    return 0;
}

static int settle_old(struct heir *h, struct legacy *l)
{
    struct runtime *rt = h->rt;
    struct config *conf = l->conf;
    if (make_old_pools(h, conf) < 0)
        return -1;
    l->conf = NULL;
    struct generation *g = generation_new(l->head.number, conf);
    if (g == NULL)
        return refuse(h, "out of memory");
    LIST_INSERT_HEAD(&rt->generations, g, in_all);
    if (generation_open(g, &rt->pools, &rt->entrances, &rt->gate) < 0)
        return refuse(h, "out of memory");
    return 0;
}

static int settle_current(struct heir *h, struct legacy *l)
{
    struct change *change = NULL;
    struct config *conf = l->conf;
    l->conf = NULL;
    h->rt->last_generation = l->head.number - 1;
    change_exchange_fixed(conf, h->own);
    if (change_prepare(h->rt, conf, h->errors, &change) < 0)
        return refuse(h, "the configuration in force cannot be put in force here");
    change_commit(change);
    return 0;
}

/* The one in force was sent first. */
static int settle_in(struct heir *h)
{
    if (h->settled_in)
        return 0;
    h->settled_in = true;
    if (h->legacy_count == 0 || !h->legacy[0].head.in_force)
        return refuse(h, "no configuration in force");
    int rc = settle_current(h, &h->legacy[0]);
    for (size_t i = 1; i < h->legacy_count && rc == 0; i++)
        rc = settle_old(h, &h->legacy[i]);
    return rc;
}

static int take_answers(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    struct pool_answer list[1024];
    size_t count = 0;
    struct estate_answer before = { .line = 0 };
    for (uint32_t i = 0; i <= h->parcel->count; i++) {
        struct estate_answer e = { .line = 0 };
        if (i < h->parcel->count &&
            (!parcel_take(h->parcel, &at, &e, sizeof e, NULL, 0) || !is_text(e.pool, ESTATE_NAME)))
            return refuse(h, "an address that makes no sense");
        bool other = e.line != before.line || strcmp(e.pool, before.pool) != 0;
        if (count > 0 && (other || i == h->parcel->count)) {
            struct pool *p = pools_find(&h->rt->pools, before.pool);
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

static void restore_check(const struct heir *h, const struct pool *p, const struct backend *b,
                          const struct estate_server *e)
{
    const struct estate_check *c = &e->check;
    struct verdict v = {
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
    memcpy(v.why, c->why, sizeof v.why);
    health_restore(h->rt->health, p, b, &v);
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

static int take_servers(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->parcel->count; i++) {
        struct estate_server e;
        if (!parcel_take(h->parcel, &at, &e, sizeof e, NULL, 0) || !is_text(e.pool, ESTATE_NAME) ||
            !is_text(e.name, ESTATE_NAME) || !is_text(e.check.why, sizeof e.check.why))
            return refuse(h, "a server that makes no sense");
        struct pool *p = pools_find(&h->rt->pools, e.pool);
        struct backend *b = p == NULL ? NULL : pool_find(p, &e.addr, e.name);
        if (b == NULL && p != NULL && e.added)
            b = add_again(p, &e);
        if (b == NULL)
            continue;
        restore(b, &e);
        restore_check(h, p, b, &e);
        pool_restate(p);
        if (e.draining && drains_resume(&h->rt->drains, p, b, &e.drain) < 0)
            return refuse(h, "out of memory");
    }
    return 0;
}

static int take_entrances(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->parcel->count; i++) {
        struct estate_entrance e;
        struct entrance *in;
        if (!parcel_take(h->parcel, &at, &e, sizeof e, NULL, 0) || !is_text(e.name, ESTATE_NAME))
            return refuse(h, "a listener that makes no sense");
        LIST_FOREACH(in, &h->rt->entrances, in_all) {
            if (strcmp(in->name, e.name) != 0)
                continue;
            atomic_store(&in->connections, e.connections);
            for (int k = 0; k < SESSION_ENDS; k++)
                atomic_store(&in->refused[k], e.refused[k]);
        }
    }
    return 0;
}

/* ---- sessions ---- */

static struct service *find_service(const struct runtime *rt, const struct session_terms *t)
{
    const struct generation *g = rt->current;
    if (g->number != t->generation)
        LIST_FOREACH(g, &rt->generations, in_all)
            if (g->number == t->generation)
                break;
    return g == NULL || t->listen >= g->conf->listen_count ? NULL : &g->service[t->listen];
}

static struct session *begin(struct heir *h, const struct session_terms *t,
                             const int fd[RECORD_TERMS_FDS])
{
    struct runtime *rt = h->rt;
    struct worker *w = rt->crew.worker[t->worker % rt->crew.at_work];
    struct service *service = find_service(rt, t);
    struct pool *pool =
        is_text(t->pool, sizeof t->pool) ? pools_find_any(&rt->pools, t->pool) : NULL;
    struct backend *b = NULL;
    if (service == NULL || pool == NULL || fd[RECORD_CLIENT] == -1 ||
        !is_text(t->server_name, sizeof t->server_name))
        return NULL;
    if (t->has_server && (b = pool_adopt(pool, &t->server, t->server_name)) == NULL)
        return NULL;
    service_force(service);
    return record_begin(worker_sessions(w), service, pool, b, t, fd);
}

static int stage(struct heir *h, struct session *s)
{
    if (h->staged_count == h->staged_room) {
        size_t room = h->staged_room == 0 ? 1024 : 2 * h->staged_room;
        struct staged *more = realloc(h->staged, room * sizeof *more);
        if (more == NULL)
            return refuse(h, "out of memory");
        h->staged = more;
        h->staged_room = room;
    }
    h->staged[h->staged_count++] = (struct staged){ s->id, s };
    return 0;
}

static int take_settled(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    int rc = 0;
    for (uint32_t i = 0; i < h->parcel->count && rc == 0; i++) {
        struct session_terms t;
        int fd[RECORD_TERMS_FDS];
        if (!parcel_take(h->parcel, &at, &t, sizeof t, fd, RECORD_TERMS_FDS))
            return refuse(h, "a session that makes no sense");
        struct session *s = begin(h, &t, fd);
        rc = s == NULL ? refuse(h, "a session cannot be taken over: %s", strerror(errno))
                       : stage(h, s);
    }
    return rc;
}

static int compare_staged(const void *a, const void *b)
{
    const struct staged *sa = a;
    const struct staged *sb = b;
    return (sa->id > sb->id) - (sa->id < sb->id);
}

static struct staged *find_staged(const struct heir *h, uint64_t id)
{
    const struct staged key = { .id = id };
    if (h->staged_count == 0)
        return NULL;
    return bsearch(&key, h->staged, h->staged_count, sizeof key, compare_staged);
}

static int take_moments(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->parcel->count; i++) {
        struct estate_moment e;
        int fd[RECORD_MOMENT_FDS];
        if (!parcel_take(h->parcel, &at, &e, sizeof e, fd, RECORD_MOMENT_FDS))
            return refuse(h, "a session's state that makes no sense");
        struct staged *st = find_staged(h, e.id);
        if (st == NULL || st->session == NULL || record_resume(st->session, &e.moment, fd) < 0)
            return refuse(h, "a session's state that fits none");
        st->session = NULL;
    }
    return 0;
}

static int note_late(struct heir *h, struct session *s)
{
    if (h->late_count == h->late_room) {
        size_t room = h->late_room == 0 ? 64 : 2 * h->late_room;
        struct session **more = realloc(h->late, room * sizeof(struct session *));
        if (more == NULL)
            return refuse(h, "out of memory");
        h->late = more;
        h->late_room = room;
    }
    h->late[h->late_count++] = s;
    return 0;
}

static int take_late(struct heir *h)
{
    struct parcel_place at = { 0, 0 };
    for (uint32_t i = 0; i < h->parcel->count; i++) {
        struct estate_late e;
        int fd[RECORD_TERMS_FDS + RECORD_MOMENT_FDS];
        if (!parcel_take(h->parcel, &at, &e, sizeof e, fd, RECORD_TERMS_FDS + RECORD_MOMENT_FDS))
            return refuse(h, "a session that makes no sense");
        struct session *s = begin(h, &e.terms, fd);
        if (s == NULL || record_resume(s, &e.moment, fd + RECORD_TERMS_FDS) < 0)
            return refuse(h, "a session cannot be taken over: %s", strerror(errno));
        if (note_late(h, s) < 0)
            return -1;
    }
    return 0;
}

static int compare_late(const void *a, const void *b)
{
    const struct session *const *sa = a;
    const struct session *const *sb = b;
    return ((*sa)->id > (*sb)->id) - ((*sa)->id < (*sb)->id);
}

/* Whoever waits for a place does so in the order in which all came, before anybody new. */
static void queue_up(struct heir *h)
{
    if (h->late_count > 0)
        qsort(h->late, h->late_count, sizeof(struct session *), compare_late);
    for (size_t i = 0; i < h->late_count; i++)
        session_wait_on(h->late[i]);
}

/* They have ended since their terms were sent. */
static void drop_ended(struct heir *h)
{
    for (size_t i = 0; i < h->staged_count; i++)
        if (h->staged[i].session != NULL)
            record_drop(h->staged[i].session);
}

/* ---- the course of it ---- */

static int say(struct heir *h, enum parcel_type type)
{
    parcel_init(h->parcel, type);
    int rc = parcel_send(h->sock, h->parcel, PARCEL_PATIENCE);
    if (rc < 0)
        fprintf(h->errors, "taking over: the old program is gone: %s\n", strerror(-rc));
    return rc;
}

static int prepared(struct heir *h)
{
    if (settle_in(h) < 0)
        return -1;
    int rc = crew_recruit(&h->rt->crew); /* what may fail does so while the old one goes on */
    if (rc < 0)
        return refuse(h, "workers: %s", strerror(-rc));
    if (h->staged_count > 0)
        qsort(h->staged, h->staged_count, sizeof *h->staged, compare_staged);
    return say(h, PARCEL_ACCEPT);
}

/* Waits for as long as it takes: the old program ends this one when its own patience is over, or by
 * its own end. Whoever did not wait for its last word would leave the sessions to nobody. */
static int hear(struct heir *h)
{
    return parcel_receive(h->sock, h->parcel, 0);
}

static int own(struct heir *h)
{
    if (say(h, PARCEL_OWN) < 0)
        return -1;
    int rc = hear(h);
    if (rc < 0 || h->parcel->type != PARCEL_OWN)
        return refuse(h, "the old program did not let go: %s", strerror(rc < 0 ? -rc : EBADMSG));
    drop_ended(h);
    queue_up(h);
    return 1;
}

/* Returns 1 when all is ours. */
static int take(struct heir *h)
{
    switch ((enum parcel_type)h->parcel->type) {
    case PARCEL_OFFER:
        return take_process(h);
    case PARCEL_CONFIG:
        return take_config(h);
    case PARCEL_SOCKET:
        return take_sockets(h);
    case PARCEL_HANDED:
        return take_handed(h);
    case PARCEL_ADMIN:
        return take_admin(h);
    case PARCEL_ANSWERS:
        return settle_in(h) < 0 ? -1 : take_answers(h);
    case PARCEL_SERVERS:
        return settle_in(h) < 0 ? -1 : take_servers(h);
    case PARCEL_ENTRANCE:
        return settle_in(h) < 0 ? -1 : take_entrances(h);
    case PARCEL_SETTLED:
        return settle_in(h) < 0 ? -1 : take_settled(h);
    case PARCEL_PREPARED:
        return prepared(h);
    case PARCEL_MOMENTS:
        return take_moments(h);
    case PARCEL_LATE:
        return take_late(h);
    case PARCEL_ALL:
        return own(h);
    case PARCEL_ACCEPT:
    case PARCEL_REFUSE:
    case PARCEL_OWN:
        break;
    }
    return refuse(h, "a message that does not belong here");
}

static int take_all(struct heir *h)
{
    int rc = say(h, PARCEL_ACCEPT);
    while (rc == 0) {
        rc = hear(h);
        if (rc < 0)
            return refuse(h, "the old program: %s", strerror(-rc));
        rc = take(h);
    }
    return rc < 0 ? -1 : 0;
}

static void legacy_free(struct heir *h)
{
    for (size_t i = 0; i < h->legacy_count; i++)
        config_free(h->legacy[i].conf);
    free(h->legacy);
}

int heir_socket(void)
{
    const char *text = getenv(HEIR_ENVIRONMENT);
    int fd = text == NULL ? -1 : atoi(text);
    unsetenv(HEIR_ENVIRONMENT);
    if (fd > 2)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return fd > 2 ? fd : -1;
}

int heir_run(struct runtime *rt, int sock, struct config *own, FILE *errors)
{
    struct heir h = { .rt = rt, .sock = sock, .own = own, .errors = errors };
    h.parcel = malloc(sizeof *h.parcel);
    if (h.parcel == NULL)
        return -1;
    int rc = take_all(&h);
    legacy_free(&h);
    free(h.staged);
    free(h.late);
    free(h.parcel);
    return rc;
}
