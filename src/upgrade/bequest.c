#include "upgrade/bequest.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "upgrade/estate.h"
#include "upgrade/parcel.h"

struct bequest {
    struct runtime *rt;
    int sock;
    struct parcel *parcel; /* the one that is being filled */
    void (*kill_heir)(void *arg);
    void *arg;
    struct bequest_result *result;
    uint64_t began;
    uint64_t deadline; /* us; 0: none while sessions go on */
};

/* While nothing moves, the new program has the time that it took to prepare, or this if that was
 * less: sessions wait for it, and it has little to do. */
#define STANDSTILL_US 100000

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static int fail(struct bequest *b, const char *doing, int rc)
{
    if (b->result->error[0] == '\0')
        snprintf(b->result->error, sizeof b->result->error, "%s: %s", doing, strerror(-rc));
    return -1;
}

static void copy_name(char to[ESTATE_NAME], const char *name)
{
    snprintf(to, ESTATE_NAME, "%s", name);
}

/* ---- parcels ---- */

/* At least a millisecond: 0 would be for ever. */
static unsigned patience(const struct bequest *b)
{
    uint64_t now = now_us();
    if (b->deadline == 0)
        return PARCEL_PATIENCE;
    return b->deadline > now + 1000 ? (unsigned)((b->deadline - now) / 1000) : 1;
}

static int flush(struct bequest *b)
{
    int rc = parcel_send(b->sock, b->parcel, patience(b));
    return rc < 0 ? fail(b, "sending", rc) : 0;
}

/* One item; a full parcel is sent first. */
static int put(struct bequest *b, const void *item, size_t size, const int *fd, size_t fds)
{
    if (parcel_add(b->parcel, item, size, fd, fds))
        return 0;
    if (b->parcel->count == 0)
        return fail(b, "packing", -EMSGSIZE);
    if (flush(b) < 0)
        return -1;
    parcel_init(b->parcel, b->parcel->type);
    return parcel_add(b->parcel, item, size, fd, fds) ? 0 : fail(b, "packing", -EMSGSIZE);
}

static int close_parcel(struct bequest *b)
{
    return b->parcel->count > 0 ? flush(b) : 0;
}

/* Sends what has no items and waits for what the other one says to it. */
static int ask(struct bequest *b, enum parcel_type type, enum parcel_type wanted)
{
    parcel_init(b->parcel, type);
    if (flush(b) < 0)
        return -1;
    int rc = parcel_receive(b->sock, b->parcel, patience(b));
    if (rc < 0)
        return fail(b, "waiting for the new program", rc);
    if (b->parcel->type == PARCEL_REFUSE)
        snprintf(b->result->error, sizeof b->result->error, "the new program refuses: %.150s",
                 b->parcel->size > 0 ? b->parcel->data : "no reason given");
    return b->parcel->type == wanted ? 0 : fail(b, "waiting for the new program", -EBADMSG);
}

/* ---- what stands still ---- */

static int send_process(struct bequest *b)
{
    struct estate_process e = {
        .last_session_id = atomic_load(&b->rt->last_session_id),
        .reloads = b->rt->reloads,
        .failed_reloads = b->rt->failed_reloads,
        .began = b->rt->began,
    };
    crew_totals(&b->rt->crew, &e.totals);
    parcel_init(b->parcel, PARCEL_OFFER);
    return put(b, &e, sizeof e, &b->rt->pid_file.fd, 1) < 0 ? -1 : flush(b);
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

static int send_config(struct bequest *b, const struct generation *g)
{
    const struct estate_config e = { g->number, g == b->rt->current };
    int fd = config_text(g->conf);
    if (fd < 0)
        return fail(b, "writing the configuration", fd);
    parcel_init(b->parcel, PARCEL_CONFIG);
    int rc = put(b, &e, sizeof e, &fd, 1) < 0 ? -1 : flush(b);
    close(fd);
    return rc;
}

static int send_configs(struct bequest *b)
{
    const struct generation *g;
    int rc = send_config(b, b->rt->current);
    LIST_FOREACH(g, &b->rt->generations, in_all)
        if (rc == 0 && generation_has_sessions(g))
            rc = send_config(b, g);
    return rc;
}

/* More descriptors than one parcel takes are sent in several, for the same address. */
static int send_socket(struct bequest *b, const struct listen_socket *ls)
{
    for (size_t i = 0; i < ls->count;) {
        int fd[64];
        struct estate_socket e = { .at = ls->at };
        while (i < ls->count && e.count < 64)
            fd[e.count++] = ls->share[i++].fd;
        if (put(b, &e, sizeof e, fd, e.count) < 0)
            return -1;
    }
    return 0;
}

static int send_http(struct bequest *b)
{
    struct estate_socket e = { .of_http = 1, .count = 1 };
    int fd = http_socket(b->rt->http, &e.at);
    return fd == -1 ? 0 : put(b, &e, sizeof e, &fd, 1);
}

/* All that the service manager has handed over, whether in use or not. */
static int send_handed(struct bequest *b)
{
    const struct inherited *in = &b->rt->sockets.inherited;
    parcel_init(b->parcel, PARCEL_HANDED);
    for (size_t i = 0; i < in->count; i++) {
        struct estate_handed e = { .number = in->socket[i]->number };
        memcpy(e.name, in->socket[i]->name, sizeof e.name);
        if (put(b, &e, sizeof e, &in->socket[i]->fd, 1) < 0)
            return -1;
    }
    return close_parcel(b);
}

/* Duplicates of what was handed over are made anew. */
static int send_sockets(struct bequest *b)
{
    const struct listen_socket *ls;
    parcel_init(b->parcel, PARCEL_SOCKET);
    TAILQ_FOREACH(ls, &b->rt->sockets.all, in_list)
        if (ls->handed == NULL && send_socket(b, ls) < 0)
            return -1;
    return send_http(b) < 0 ? -1 : close_parcel(b);
}

static int send_admin(struct bequest *b)
{
    struct estate_socket e = { .count = 1 };
    int fd = admin_socket(b->rt->admin, &e.at);
    parcel_init(b->parcel, PARCEL_ADMIN);
    if (fd != -1 && put(b, &e, sizeof e, &fd, 1) < 0)
        return -1;
    return close_parcel(b);
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

static int send_server(struct bequest *b, const struct pool *p, struct backend *s)
{
    const struct verdict *v = health_verdict(b->rt->health, p, s);
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
    e.draining = drains_progress(&b->rt->drains, s, &e.drain, &left);
    if (v != NULL)
        e.check = check_of(v);
    copy_name(e.pool, pool_name(p));
    copy_name(e.name, backend_name(s));
    return put(b, &e, sizeof e, NULL, 0);
}

static int send_answers_of(struct bequest *b, const struct pool *p)
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
            if (put(b, &e, sizeof e, NULL, 0) < 0)
                return -1;
        }
    }
    return 0;
}

/* Answers first: they make the servers that the rest is about. */
static int send_pools(struct bequest *b)
{
    const struct config *conf = runtime_conf(b->rt);
    parcel_init(b->parcel, PARCEL_ANSWERS);
    for (size_t i = 0; i < conf->pool_count; i++)
        if (send_answers_of(b, pools_find(&b->rt->pools, conf->pool[i].name)) < 0)
            return -1;
    if (close_parcel(b) < 0)
        return -1;
    parcel_init(b->parcel, PARCEL_SERVERS);
    for (size_t i = 0; i < conf->pool_count; i++) {
        size_t count = 0;
        const struct pool *p = pools_find(&b->rt->pools, conf->pool[i].name);
        struct backend *const *servers = pool_servers(p, &count);
        for (size_t j = 0; j < count; j++)
            if (send_server(b, p, servers[j]) < 0)
                return -1;
    }
    return close_parcel(b);
}

static int send_entrances(struct bequest *b)
{
    const struct entrance *in;
    parcel_init(b->parcel, PARCEL_ENTRANCE);
    LIST_FOREACH(in, &b->rt->entrances, in_all) {
        struct estate_entrance e = { .connections = atomic_load(&in->connections) };
        copy_name(e.name, in->name);
        for (int i = 0; i < SESSION_ENDS; i++)
            e.refused[i] = atomic_load(&in->refused[i]);
        if (put(b, &e, sizeof e, NULL, 0) < 0)
            return -1;
    }
    return close_parcel(b);
}

/* ---- workers that stand still ---- */

/* Where workers wait for control. A semaphore must not go while somebody waits on it, so each says
 * when it has left. */
struct halt {
    sem_t arrived;
    sem_t go_on;
    sem_t left;
};

static void halt_init(struct halt *h)
{
    sem_init(&h->arrived, 0, 0);
    sem_init(&h->go_on, 0, 0);
    sem_init(&h->left, 0, 0);
}

static void halt_fini(struct halt *h)
{
    sem_destroy(&h->arrived);
    sem_destroy(&h->go_on);
    sem_destroy(&h->left);
}

/* Control takes signals, which may interrupt it. */
static void await(sem_t *s)
{
    while (sem_wait(s) == -1)
        ;
}

/* For the worker. */
static void halt_here(struct halt *h)
{
    sem_post(&h->arrived);
    await(&h->go_on);
    sem_post(&h->left);
}

/* For control: until so many stand there; let them all go, and see them off. */
static void halt_await(struct halt *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        await(&h->arrived);
}

static void halt_end(struct halt *h, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sem_post(&h->go_on);
    for (size_t i = 0; i < count; i++)
        await(&h->left);
}

/* ---- sessions that go on meanwhile ---- */

/* Where a session's service stands: its configuration's number and the listener's there. */
static bool find_service(const struct runtime *rt, const struct service *s, struct session_terms *t)
{
    const struct generation *g = rt->current;
    const struct generation *next = LIST_FIRST(&rt->generations);
    for (; g != NULL; g = next, next = next == NULL ? NULL : LIST_NEXT(next, in_all)) {
        if (s < g->service || s >= g->service + g->conf->listen_count)
            continue;
        t->generation = g->number;
        t->listen = (uint32_t)(s - g->service);
        return true;
    }
    return false;
}

/* A worker packs some of its settled sessions. Until control has sent them, none of them may be
 * closed: its descriptor's number would be another's. So the worker waits for that. */
struct packing {
    struct letter letter;
    struct bequest *b;
    uint32_t worker;
    bool more;
    struct halt halt;
};

static bool pack(struct packing *pk, const struct session *s)
{
    struct session_terms t;
    int fd[RECORD_TERMS_FDS];
    record_terms(s, &t, fd);
    t.worker = pk->worker;
    return find_service(pk->b->rt, s->service, &t) &&
           parcel_add(pk->b->parcel, &t, sizeof t, fd, RECORD_TERMS_FDS);
}

static void on_pack(struct letter *l, void *owner)
{
    struct packing *pk = (struct packing *)l; /* its first member */
    struct sessions *all = worker_sessions(owner);
    struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        if (s->staged || !record_is_settled(s))
            continue;
        if (!pack(pk, s)) {
            pk->more = true;
            break;
        }
        s->staged = true;
    }
    halt_here(&pk->halt);
}

/* Control waits for a slow reader, so that the worker does not have to. */
static int wait_for_room(struct bequest *b)
{
    struct pollfd ask = { .fd = b->sock, .events = POLLOUT };
    if (poll(&ask, 1, PARCEL_PATIENCE) == 1 && (ask.revents & POLLOUT) != 0)
        return 0;
    return fail(b, "sending", -ETIMEDOUT);
}

static int send_settled_of(struct bequest *b, size_t worker)
{
    struct packing pk = { .letter.run = on_pack, .b = b, .worker = (uint32_t)worker };
    halt_init(&pk.halt);
    int rc = 0;
    do {
        pk.more = false;
        parcel_init(b->parcel, PARCEL_SETTLED);
        if ((rc = wait_for_room(b)) < 0)
            break;
        if (!worker_post(crew_worker(&b->rt->crew, worker), &pk.letter))
            break; /* it has finished: it had none */
        halt_await(&pk.halt, 1);
        rc = close_parcel(b);
        bool none = b->parcel->count == 0;
        halt_end(&pk.halt, 1);
        b->result->sessions += b->parcel->count;
        if (none)
            break;
    } while (rc == 0 && pk.more);
    halt_fini(&pk.halt);
    return rc;
}

static int send_settled(struct bequest *b)
{
    for (size_t i = 0; i < crew_running(&b->rt->crew); i++)
        if (send_settled_of(b, i) < 0)
            return -1;
    return 0;
}

/* ---- the moment in which nothing moves ---- */

/* Has a worker stand still, with its sessions at rest. */
struct freezing {
    struct letter letter;
    struct halt *halt;
};

static void on_freeze(struct letter *l, void *owner)
{
    struct freezing *f = (struct freezing *)l; /* its first member */
    struct halt *halt = f->halt;
    sessions_settle(worker_sessions(owner));
    free(f);
    halt_here(halt);
}

/* Returns 0 or -ENOMEM; *told workers stand still in both cases. One that has finished does so for
 * good, and has no session. */
static int freeze(struct bequest *b, struct halt *halt, size_t *told)
{
    int rc = 0;
    *told = 0;
    halt_init(halt);
    for (size_t i = 0; i < crew_running(&b->rt->crew); i++) {
        struct freezing *f = calloc(1, sizeof *f);
        if (f == NULL) {
            rc = -ENOMEM;
            break;
        }
        f->letter.run = on_freeze;
        f->halt = halt;
        if (worker_post(crew_worker(&b->rt->crew, i), &f->letter))
            ++*told;
        else
            free(f);
    }
    halt_await(halt, *told);
    return rc;
}

/* Nobody has those sockets but we, now that the other one is dead. */
static void unstage(const struct sessions *all)
{
    struct session *s;
    LIST_FOREACH(s, &all->all, in_all)
        s->staged = false;
}

static void on_unstage(struct letter *l, void *owner)
{
    unstage(worker_sessions(owner));
    free(l);
}

/* It did not come as far as the workers' standing still. */
static void take_back(struct bequest *b)
{
    b->kill_heir(b->arg);
    for (size_t i = 0; i < crew_running(&b->rt->crew); i++) {
        struct letter *l = calloc(1, sizeof *l);
        if (l == NULL)
            continue; /* they stay marked: their ends are told in two steps instead of one */
        l->run = on_unstage;
        if (!worker_post(crew_worker(&b->rt->crew, i), l))
            free(l);
    }
}

static void thaw(struct bequest *b, struct halt *halt, size_t told)
{
    for (size_t i = 0; i < crew_running(&b->rt->crew); i++)
        unstage(worker_sessions(crew_worker(&b->rt->crew, i)));
    halt_end(halt, told);
    halt_fini(halt);
}

static int send_moments_of(struct bequest *b, const struct sessions *all)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct estate_moment e = { .id = s->id };
        int fd[RECORD_MOMENT_FDS];
        if (!s->staged)
            continue;
        record_moment(s, &e.moment, fd);
        if (put(b, &e, sizeof e, fd, RECORD_MOMENT_FDS) < 0)
            return -1;
    }
    return 0;
}

static int send_late_of(struct bequest *b, const struct sessions *all, size_t worker)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct estate_late e;
        int fd[RECORD_TERMS_FDS + RECORD_MOMENT_FDS];
        if (s->staged)
            continue;
        record_terms(s, &e.terms, fd);
        record_moment(s, &e.moment, fd + RECORD_TERMS_FDS);
        e.terms.worker = (uint32_t)worker;
        if (!find_service(b->rt, s->service, &e.terms))
            return fail(b, "a session of no known listener", -EINVAL);
        if (put(b, &e, sizeof e, fd, RECORD_TERMS_FDS + RECORD_MOMENT_FDS) < 0)
            return -1;
        b->result->sessions++;
    }
    return 0;
}

static int send_still(struct bequest *b)
{
    size_t workers = crew_running(&b->rt->crew);
    parcel_init(b->parcel, PARCEL_MOMENTS);
    for (size_t i = 0; i < workers; i++)
        if (send_moments_of(b, worker_sessions(crew_worker(&b->rt->crew, i))) < 0)
            return -1;
    if (close_parcel(b) < 0)
        return -1;
    parcel_init(b->parcel, PARCEL_LATE);
    for (size_t i = 0; i < workers; i++)
        if (send_late_of(b, worker_sessions(crew_worker(&b->rt->crew, i)), i) < 0)
            return -1;
    if (close_parcel(b) < 0)
        return -1;
    return send_process(b);
}

static void set_deadline(struct bequest *b, uint64_t now)
{
    uint64_t allowed = now - b->began;
    if (allowed < STANDSTILL_US)
        allowed = STANDSTILL_US;
    if (allowed > PARCEL_PATIENCE * 1000)
        allowed = PARCEL_PATIENCE * 1000;
    b->deadline = now_us() + allowed;
}

/* The new program begins when it has our word that we shall not go on, and not before: then it may
 * die until there, and we go on. */
static int change_hands(struct bequest *b)
{
    static struct halt
        halt; /* once hands are changed, workers stand there until the process ends */
    uint64_t began = now_us();
    size_t told = 0;
    int rc = freeze(b, &halt, &told);
    set_deadline(b, began);
    rc = rc < 0 ? fail(b, "stopping the workers", rc) : send_still(b);
    if (rc == 0)
        rc = ask(b, PARCEL_ALL, PARCEL_OWN);
    if (rc == 0) {
        parcel_init(b->parcel, PARCEL_OWN);
        rc = flush(b);
    }
    if (rc < 0) {
        b->kill_heir(b->arg);
        thaw(b, &halt, told);
    }
    b->result->paused_us = now_us() - began;
    return rc;
}

static int prepare(struct bequest *b)
{
    if (send_process(b) < 0 || send_configs(b) < 0 || send_handed(b) < 0 || send_sockets(b) < 0 ||
        send_admin(b) < 0 || send_pools(b) < 0 || send_entrances(b) < 0 || send_settled(b) < 0)
        return -1;
    return ask(b, PARCEL_PREPARED, PARCEL_ACCEPT);
}

int bequest_run(struct runtime *rt, int sock, void (*kill_heir)(void *arg), void *arg,
                struct bequest_result *result)
{
    struct bequest b = {
        .rt = rt,
        .sock = sock,
        .kill_heir = kill_heir,
        .arg = arg,
        .result = result,
        .began = now_us(),
    };
    const int blocking = 0;
    (void)ioctl(sock, FIONBIO, &blocking); /* it comes from an event loop */
    memset(result, 0, sizeof *result);
    b.parcel = malloc(sizeof *b.parcel);
    if (b.parcel == NULL)
        return fail(&b, "packing", -ENOMEM);
    int rc = prepare(&b);
    if (rc == 0)
        rc = change_hands(&b);
    else
        take_back(&b);
    free(b.parcel);
    return rc;
}
