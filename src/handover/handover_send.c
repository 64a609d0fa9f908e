#include "handover/handover_send.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "handover/handover_messages.h"
#include "handover/handover_state.h"
#include "handover/worker_barrier.h"

struct handover_sender {
    struct runtime *rt;
    struct handover_channel channel;
    void (*kill_receiver)(void *arg);
    void *arg;
    struct handover_send_result *result;
    uint64_t began; /* us */
};

/* While nothing moves, the new program has the time that it took to prepare, or this if that was
 * less: sessions wait for it, and it has little to do. */
#define FREEZE_MIN_US 100000

/* ---- sessions that go on meanwhile ---- */

/* Where a session's service stands: its configuration's number and the listener's there. */
static bool handover_send_find_frontend(const struct runtime *rt, const struct frontend *s,
                                        struct session_setup *t)
{
    const struct generation *g = rt->current;
    const struct generation *next = LIST_FIRST(&rt->generations);
    for (; g != NULL; g = next, next = next == NULL ? NULL : LIST_NEXT(next, in_all)) {
        if (s < g->frontend || s >= g->frontend + g->conf->listen_count)
            continue;
        t->generation = g->number;
        t->listen = (uint32_t)(s - g->frontend);
        return true;
    }
    return false;
}

/* A worker packs some of its settled sessions. Until control has sent them, none of them may be
 * closed: its descriptor's number would be another's. So the worker waits for that. */
struct pack_request {
    struct worker_message worker_message;
    struct handover_sender *b;
    uint32_t worker;
    bool more;
    struct worker_barrier barrier;
};

static bool pack_session(struct pack_request *pk, const struct session *s)
{
    struct session_setup t;
    int fd[SESSION_RECORD_SETUP_FDS];
    session_record_setup(s, &t, fd);
    t.worker = pk->worker;
    return handover_send_find_frontend(pk->b->rt, s->frontend, &t) &&
           handover_message_add(pk->b->channel.message, &t, sizeof t, fd, SESSION_RECORD_SETUP_FDS);
}

static void on_pack(struct worker_message *l, void *owner)
{
    struct pack_request *pk = (struct pack_request *)l; /* its first member */
    struct sessions *all = worker_sessions(owner);
    struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        if (s->staged || !session_record_is_final(s))
            continue;
        if (!pack_session(pk, s)) {
            pk->more = true;
            break;
        }
        s->staged = true;
    }
    worker_barrier_wait(&pk->barrier);
}

/* Control waits for a slow reader, so that the worker does not have to. */
static int handover_send_wait_writable(struct handover_sender *b)
{
    struct pollfd ask = { .fd = b->channel.sock, .events = POLLOUT };
    if (poll(&ask, 1, HANDOVER_TIMEOUT_MS) == 1 && (ask.revents & POLLOUT) != 0)
        return 0;
    return handover_channel_fail(&b->channel, "sending", -ETIMEDOUT);
}

static int send_settled_of(struct handover_sender *b, size_t worker)
{
    struct pack_request pk = { .worker_message.run = on_pack, .b = b, .worker = (uint32_t)worker };
    worker_barrier_init(&pk.barrier);
    int rc = 0;
    do {
        pk.more = false;
        handover_channel_begin(&b->channel, HANDOVER_SESSIONS);
        if ((rc = handover_send_wait_writable(b)) < 0)
            break;
        if (!worker_post(workers_at(&b->rt->workers, worker), &pk.worker_message))
            break; /* it has finished: it had none */
        worker_barrier_await(&pk.barrier, 1);
        rc = handover_channel_end(&b->channel);
        bool none = b->channel.message->count == 0;
        worker_barrier_release(&pk.barrier, 1);
        b->result->sessions += b->channel.message->count;
        if (none)
            break;
    } while (rc == 0 && pk.more);
    worker_barrier_fini(&pk.barrier);
    return rc;
}

static int send_settled(struct handover_sender *b)
{
    for (size_t i = 0; i < workers_running(&b->rt->workers); i++)
        if (send_settled_of(b, i) < 0)
            return -1;
    return 0;
}

/* ---- the moment in which nothing moves ---- */

/* Has a worker stand still, with its sessions at rest. */
struct freeze_request {
    struct worker_message worker_message;
    struct worker_barrier *barrier;
};

static void on_freeze(struct worker_message *l, void *owner)
{
    struct freeze_request *f = (struct freeze_request *)l; /* its first member */
    struct worker_barrier *barrier = f->barrier;
    sessions_reap(worker_sessions(owner));
    free(f);
    worker_barrier_wait(barrier);
}

/* Returns 0 or -ENOMEM; *told workers stand still in both cases. One that has finished does so for
 * good, and has no session. */
static int freeze_workers(struct handover_sender *b, struct worker_barrier *barrier, size_t *frozen)
{
    int rc = 0;
    *frozen = 0;
    worker_barrier_init(barrier);
    for (size_t i = 0; i < workers_running(&b->rt->workers); i++) {
        struct freeze_request *f = calloc(1, sizeof *f);
        if (f == NULL) {
            rc = -ENOMEM;
            break;
        }
        f->worker_message.run = on_freeze;
        f->barrier = barrier;
        if (worker_post(workers_at(&b->rt->workers, i), &f->worker_message))
            ++*frozen;
        else
            free(f);
    }
    worker_barrier_await(barrier, *frozen);
    return rc;
}

/* Nobody has those sockets but we, now that the other one is dead. */
static void unstage(const struct sessions *all)
{
    struct session *s;
    LIST_FOREACH(s, &all->all, in_all)
        s->staged = false;
}

static void on_unstage(struct worker_message *l, void *owner)
{
    unstage(worker_sessions(owner));
    free(l);
}

/* It did not come as far as the workers' standing still. */
static void unstage_all(struct handover_sender *b)
{
    b->kill_receiver(b->arg);
    for (size_t i = 0; i < workers_running(&b->rt->workers); i++) {
        struct worker_message *l = calloc(1, sizeof *l);
        if (l == NULL)
            continue; /* they stay marked: their ends are told in two steps instead of one */
        l->run = on_unstage;
        if (!worker_post(workers_at(&b->rt->workers, i), l))
            free(l);
    }
}

static void thaw_workers(struct handover_sender *b, struct worker_barrier *barrier, size_t frozen)
{
    for (size_t i = 0; i < workers_running(&b->rt->workers); i++)
        unstage(worker_sessions(workers_at(&b->rt->workers, i)));
    worker_barrier_release(barrier, frozen);
    worker_barrier_fini(barrier);
}

static int send_moments_of(struct handover_sender *b, const struct sessions *all)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct handover_progress e = { .id = s->id };
        int fd[SESSION_RECORD_PROGRESS_FDS];
        if (!s->staged)
            continue;
        session_record_progress(s, &e.moment, fd);
        if (handover_channel_add(&b->channel, &e, sizeof e, fd, SESSION_RECORD_PROGRESS_FDS) < 0)
            return -1;
    }
    return 0;
}

static int send_late_of(struct handover_sender *b, const struct sessions *all, size_t worker)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct handover_late e;
        int fd[SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS];
        if (s->staged)
            continue;
        session_record_setup(s, &e.terms, fd);
        session_record_progress(s, &e.moment, fd + SESSION_RECORD_SETUP_FDS);
        e.terms.worker = (uint32_t)worker;
        if (!handover_send_find_frontend(b->rt, s->frontend, &e.terms))
            return handover_channel_fail(&b->channel, "a session of no known listener", -EINVAL);
        if (handover_channel_add(&b->channel, &e, sizeof e, fd,
                                 SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS) < 0)
            return -1;
        b->result->sessions++;
    }
    return 0;
}

static int send_frozen_sessions(struct handover_sender *b)
{
    size_t workers = workers_running(&b->rt->workers);
    handover_channel_begin(&b->channel, HANDOVER_PROGRESS);
    for (size_t i = 0; i < workers; i++)
        if (send_moments_of(b, worker_sessions(workers_at(&b->rt->workers, i))) < 0)
            return -1;
    if (handover_channel_end(&b->channel) < 0)
        return -1;
    handover_channel_begin(&b->channel, HANDOVER_LATE_SESSIONS);
    for (size_t i = 0; i < workers; i++)
        if (send_late_of(b, worker_sessions(workers_at(&b->rt->workers, i)), i) < 0)
            return -1;
    if (handover_channel_end(&b->channel) < 0)
        return -1;
    return handover_state_send_process(&b->channel, b->rt);
}

static void set_deadline(struct handover_sender *b, uint64_t now)
{
    uint64_t allowed = now - b->began;
    if (allowed < FREEZE_MIN_US)
        allowed = FREEZE_MIN_US;
    if (allowed > HANDOVER_TIMEOUT_MS * 1000)
        allowed = HANDOVER_TIMEOUT_MS * 1000;
    b->channel.deadline = handover_channel_now_us() + allowed;
}

/* The new program begins when it has our word that we shall not go on, and not before: then it may
 * die until there, and we go on. */
static int transfer_sessions(struct handover_sender *b)
{
    /* static: once hands are changed, workers stand there until the process ends */
    static struct worker_barrier barrier;
    uint64_t began = handover_channel_now_us();
    size_t frozen = 0;
    int rc = freeze_workers(b, &barrier, &frozen);
    set_deadline(b, began);
    rc = rc < 0 ? handover_channel_fail(&b->channel, "stopping the workers", rc)
                : send_frozen_sessions(b);
    if (rc == 0)
        rc = handover_channel_request(&b->channel, HANDOVER_COMPLETE, HANDOVER_TAKEN_OVER);
    if (rc == 0)
        rc = handover_channel_send(&b->channel, HANDOVER_TAKEN_OVER);
    if (rc < 0) {
        b->kill_receiver(b->arg);
        thaw_workers(b, &barrier, frozen);
    }
    b->result->paused_us = handover_channel_now_us() - began;
    return rc;
}

static int handover_send_prepare(struct handover_sender *b)
{
    if (handover_state_send(&b->channel, b->rt) < 0 || send_settled(b) < 0)
        return -1;
    return handover_channel_request(&b->channel, HANDOVER_PREPARED, HANDOVER_ACCEPT);
}

int handover_send(struct runtime *rt, int sock, void (*kill_receiver)(void *arg), void *arg,
                  struct handover_send_result *result)
{
    struct handover_sender b = {
        .rt = rt,
        .kill_receiver = kill_receiver,
        .arg = arg,
        .result = result,
        .began = handover_channel_now_us(),
    };
    memset(result, 0, sizeof *result);
    int rc = handover_channel_init(&b.channel, sock, "the new program");
    if (rc < 0)
        (void)handover_channel_fail(&b.channel, "packing", rc);
    else
        rc = handover_send_prepare(&b);
    if (rc == 0)
        rc = transfer_sessions(&b);
    else
        unstage_all(&b);
    memcpy(result->error, b.channel.error, sizeof result->error);
    handover_channel_fini(&b.channel);
    return rc < 0 ? -1 : 0;
}
