#include "upgrade/bequest.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "upgrade/estate.h"
#include "upgrade/halt.h"
#include "upgrade/inventory.h"

struct bequest {
    struct runtime *rt;
    struct courier courier;
    void (*kill_heir)(void *arg);
    void *arg;
    struct bequest_result *result;
    uint64_t began; /* us */
};

/* While nothing moves, the new program has the time that it took to prepare, or this if that was
 * less: sessions wait for it, and it has little to do. */
#define STANDSTILL_US 100000

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
           parcel_add(pk->b->courier.parcel, &t, sizeof t, fd, RECORD_TERMS_FDS);
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
    struct pollfd ask = { .fd = b->courier.sock, .events = POLLOUT };
    if (poll(&ask, 1, PARCEL_PATIENCE) == 1 && (ask.revents & POLLOUT) != 0)
        return 0;
    return courier_fail(&b->courier, "sending", -ETIMEDOUT);
}

static int send_settled_of(struct bequest *b, size_t worker)
{
    struct packing pk = { .letter.run = on_pack, .b = b, .worker = (uint32_t)worker };
    halt_init(&pk.halt);
    int rc = 0;
    do {
        pk.more = false;
        courier_open(&b->courier, PARCEL_SETTLED);
        if ((rc = wait_for_room(b)) < 0)
            break;
        if (!worker_post(crew_worker(&b->rt->crew, worker), &pk.letter))
            break; /* it has finished: it had none */
        halt_await(&pk.halt, 1);
        rc = courier_close(&b->courier);
        bool none = b->courier.parcel->count == 0;
        halt_end(&pk.halt, 1);
        b->result->sessions += b->courier.parcel->count;
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
        if (courier_put(&b->courier, &e, sizeof e, fd, RECORD_MOMENT_FDS) < 0)
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
            return courier_fail(&b->courier, "a session of no known listener", -EINVAL);
        if (courier_put(&b->courier, &e, sizeof e, fd, RECORD_TERMS_FDS + RECORD_MOMENT_FDS) < 0)
            return -1;
        b->result->sessions++;
    }
    return 0;
}

static int send_still(struct bequest *b)
{
    size_t workers = crew_running(&b->rt->crew);
    courier_open(&b->courier, PARCEL_MOMENTS);
    for (size_t i = 0; i < workers; i++)
        if (send_moments_of(b, worker_sessions(crew_worker(&b->rt->crew, i))) < 0)
            return -1;
    if (courier_close(&b->courier) < 0)
        return -1;
    courier_open(&b->courier, PARCEL_LATE);
    for (size_t i = 0; i < workers; i++)
        if (send_late_of(b, worker_sessions(crew_worker(&b->rt->crew, i)), i) < 0)
            return -1;
    if (courier_close(&b->courier) < 0)
        return -1;
    return inventory_send_process(&b->courier, b->rt);
}

static void set_deadline(struct bequest *b, uint64_t now)
{
    uint64_t allowed = now - b->began;
    if (allowed < STANDSTILL_US)
        allowed = STANDSTILL_US;
    if (allowed > PARCEL_PATIENCE * 1000)
        allowed = PARCEL_PATIENCE * 1000;
    b->courier.deadline = courier_clock() + allowed;
}

/* The new program begins when it has our word that we shall not go on, and not before: then it may
 * die until there, and we go on. */
static int change_hands(struct bequest *b)
{
    /* static: once hands are changed, workers stand there until the process ends */
    static struct halt halt;
    uint64_t began = courier_clock();
    size_t told = 0;
    int rc = freeze(b, &halt, &told);
    set_deadline(b, began);
    rc = rc < 0 ? courier_fail(&b->courier, "stopping the workers", rc) : send_still(b);
    if (rc == 0)
        rc = courier_ask(&b->courier, PARCEL_ALL, PARCEL_OWN);
    if (rc == 0)
        rc = courier_say(&b->courier, PARCEL_OWN);
    if (rc < 0) {
        b->kill_heir(b->arg);
        thaw(b, &halt, told);
    }
    b->result->paused_us = courier_clock() - began;
    return rc;
}

static int prepare(struct bequest *b)
{
    if (inventory_send(&b->courier, b->rt) < 0 || send_settled(b) < 0)
        return -1;
    return courier_ask(&b->courier, PARCEL_PREPARED, PARCEL_ACCEPT);
}

int bequest_run(struct runtime *rt, int sock, void (*kill_heir)(void *arg), void *arg,
                struct bequest_result *result)
{
    struct bequest b = {
        .rt = rt,
        .kill_heir = kill_heir,
        .arg = arg,
        .result = result,
        .began = courier_clock(),
    };
    memset(result, 0, sizeof *result);
    int rc = courier_init(&b.courier, sock, "the new program");
    if (rc < 0)
        (void)courier_fail(&b.courier, "packing", rc);
    else
        rc = prepare(&b);
    if (rc == 0)
        rc = change_hands(&b);
    else
        take_back(&b);
    memcpy(result->error, b.courier.error, sizeof result->error);
    courier_fini(&b.courier);
    return rc < 0 ? -1 : 0;
}
