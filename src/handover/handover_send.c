#include "handover/handover_send.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "handover/handover_messages.h"
#include "handover/handover_state.h"
#include "session/session_close.h"

/* The limit of a pause is the time that the new process took to prepare, but at least this: little
 * is left to do, and sessions wait. */
#define PAUSE_MIN_US 100000

/* The socket has room: the new process has read everything that was sent before. */
#define LOG_LOSS_TIMEOUT_MS 1000
#define STAYING_TIMEOUT_MS  1

struct handover_sender {
    struct runtime *rt;
    struct handover_channel channel;
    void (*kill_receiver)(void *arg);
    void *arg;
    struct handover_send_result *result;
    uint64_t began; /* us */
};

/* ---- workers that wait ---- */

/* Workers wait here until control lets them continue. A semaphore must not be destroyed while a
 * thread is in sem_wait(3), so each worker also reports that it has left. */
struct worker_barrier {
    sem_t arrived;
    sem_t released;
    sem_t left;
    bool keeps_rest; /* set before the release: the handover has succeeded */
};

/* Of the pause: after success the workers wait on it until the process ends, or its rest begins. */
static struct worker_barrier pause_barrier;
static size_t pause_count;

static void worker_barrier_init(struct worker_barrier *b)
{
    b->keeps_rest = false;
    sem_init(&b->arrived, 0, 0);
    sem_init(&b->released, 0, 0);
    sem_init(&b->left, 0, 0);
}

static void worker_barrier_fini(struct worker_barrier *b)
{
    sem_destroy(&b->arrived);
    sem_destroy(&b->released);
    sem_destroy(&b->left);
}

/* Signal handlers interrupt the control thread. */
static void wait_semaphore(sem_t *s)
{
    while (sem_wait(s) == -1)
        ;
}

/* For a worker: blocks until worker_barrier_release(). Returns keeps_rest. */
static bool worker_barrier_wait(struct worker_barrier *b)
{
    sem_post(&b->arrived);
    wait_semaphore(&b->released);
    bool keeps_rest = b->keeps_rest;
    sem_post(&b->left);
    return keeps_rest;
}

/* For control: blocks until count workers wait. */
static void worker_barrier_await(struct worker_barrier *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        wait_semaphore(&b->arrived);
}

/* For control: lets count workers continue. */
static void worker_barrier_release(struct worker_barrier *b, size_t count)
{
    for (size_t i = 0; i < count; i++)
        sem_post(&b->released);
    for (size_t i = 0; i < count; i++)
        wait_semaphore(&b->left);
}

/* ---- sessions whose setup is final, while workers run ---- */

/* Sets generation and listen to where the new process finds the session's frontend. */
static bool locate_frontend(const struct runtime *rt, const struct frontend *s,
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

/* Has a worker pack a message with sessions whose setup is final. The worker waits until control
 * has sent it: a session that is closed before would leave the number of its descriptor to another
 * file. */
struct pack_request {
    struct worker_message worker_message;
    struct handover_sender *hs;
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
    return locate_frontend(pk->hs->rt, s->frontend, &t) &&
           handover_message_add(pk->hs->channel.message, &t, sizeof t, fd,
                                SESSION_RECORD_SETUP_FDS);
}

static void on_pack(struct worker_message *l, void *owner)
{
    struct pack_request *pk = (struct pack_request *)l; /* its first member */
    struct sessions *all = worker_sessions(owner);
    struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        if (s->staged || !session_record_is_final(s) || session_record_stays(s))
            continue;
        if (!pack_session(pk, s)) {
            pk->more = true;
            break;
        }
        s->staged = true;
    }
    (void)worker_barrier_wait(&pk->barrier);
}

/* Called before a worker packs, so that it does not wait for a slow receiver. */
static int wait_writable(struct handover_sender *hs)
{
    struct pollfd writable = { .fd = hs->channel.sock, .events = POLLOUT };
    if (poll(&writable, 1, HANDOVER_TIMEOUT_MS) == 1 && (writable.revents & POLLOUT) != 0)
        return 0;
    return handover_channel_fail(&hs->channel, "sending", -ETIMEDOUT);
}

static int send_final_of(struct handover_sender *hs, size_t worker)
{
    struct pack_request pk = { .worker_message.run = on_pack,
                               .hs = hs,
                               .worker = (uint32_t)worker };
    worker_barrier_init(&pk.barrier);
    int rc = 0;
    do {
        pk.more = false;
        handover_channel_begin(&hs->channel, HANDOVER_SESSIONS);
        if ((rc = wait_writable(hs)) < 0)
            break;
        if (!worker_post(workers_at(&hs->rt->workers, worker), &pk.worker_message))
            break; /* it has finished and has no sessions */
        worker_barrier_await(&pk.barrier, 1);
        rc = handover_channel_end(&hs->channel);
        bool none = hs->channel.message->count == 0;
        worker_barrier_release(&pk.barrier, 1);
        hs->result->sessions += hs->channel.message->count;
        if (none)
            break;
    } while (rc == 0 && pk.more);
    worker_barrier_fini(&pk.barrier);
    return rc;
}

static int send_final(struct handover_sender *hs)
{
    int rc = 0;
    for (size_t i = 0; i < workers_running(&hs->rt->workers) && rc == 0; i++)
        rc = send_final_of(hs, i);
    return rc;
}

/* ---- the pause ---- */

/* Has a worker free its ended sessions and wait. */
struct pause_request {
    struct worker_message worker_message;
    struct worker_barrier *barrier;
};

static void on_pause(struct worker_message *l, void *owner)
{
    struct pause_request *r = (struct pause_request *)l; /* its first member */
    struct worker_barrier *barrier = r->barrier;
    sessions_reap(worker_sessions(owner));
    free(r);
    if (worker_barrier_wait(barrier))
        worker_keep_rest(owner);
}

/* Returns 0 or -ENOMEM. *paused: how many workers wait, in both cases; those that have finished are
 * not among them. */
static int pause_workers(struct handover_sender *hs, struct worker_barrier *barrier, size_t *paused)
{
    int rc = 0;
    *paused = 0;
    worker_barrier_init(barrier);
    for (size_t i = 0; i < workers_running(&hs->rt->workers); i++) {
        struct pause_request *r = calloc(1, sizeof *r);
        if (r == NULL) {
            rc = -ENOMEM;
            break;
        }
        r->worker_message.run = on_pause;
        r->barrier = barrier;
        if (worker_post(workers_at(&hs->rt->workers, i), &r->worker_message))
            ++*paused;
        else
            free(r);
    }
    worker_barrier_await(barrier, *paused);
    return rc;
}

/* session.staged means that another process has the session's sockets open too; call this once the
 * new process is dead. */
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

/* After a failure while workers run. */
static void unstage_all(struct handover_sender *hs)
{
    hs->kill_receiver(hs->arg);
    for (size_t i = 0; i < workers_running(&hs->rt->workers); i++) {
        struct worker_message *l = calloc(1, sizeof *l);
        if (l == NULL)
            continue; /* they stay staged: each end costs an extra epoll_ctl(2) */
        l->run = on_unstage;
        if (!worker_post(workers_at(&hs->rt->workers, i), l))
            free(l);
    }
}

/* After a failure while workers are paused. */
static void resume_workers(struct handover_sender *hs, struct worker_barrier *barrier,
                           size_t paused)
{
    for (size_t i = 0; i < workers_running(&hs->rt->workers); i++)
        unstage(worker_sessions(workers_at(&hs->rt->workers, i)));
    worker_barrier_release(barrier, paused);
    worker_barrier_fini(barrier);
}

static int send_progress_of(struct handover_sender *hs, const struct sessions *all)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct handover_progress e = { .id = s->id };
        int fd[SESSION_RECORD_PROGRESS_FDS];
        if (!s->staged)
            continue;
        session_record_progress(s, &e.progress, fd);
        int rc = handover_channel_add(&hs->channel, &e, sizeof e, fd, SESSION_RECORD_PROGRESS_FDS);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int send_late_of(struct handover_sender *hs, const struct sessions *all, size_t worker)
{
    const struct session *s;
    LIST_FOREACH(s, &all->all, in_all) {
        struct handover_late e;
        int fd[SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS];
        if (s->staged)
            continue;
        if (session_record_stays(s)) {
            hs->result->staying++;
            continue;
        }
        session_record_setup(s, &e.setup, fd);
        session_record_progress(s, &e.progress, fd + SESSION_RECORD_SETUP_FDS);
        e.setup.worker = (uint32_t)worker;
        if (!locate_frontend(hs->rt, s->frontend, &e.setup))
            return handover_channel_fail(&hs->channel, "a session of an unknown listener", -EINVAL);
        int rc = handover_channel_add(&hs->channel, &e, sizeof e, fd,
                                      SESSION_RECORD_SETUP_FDS + SESSION_RECORD_PROGRESS_FDS);
        if (rc < 0)
            return rc;
        hs->result->sessions++;
    }
    return 0;
}

static int send_progress(struct handover_sender *hs)
{
    int rc = 0;
    handover_channel_begin(&hs->channel, HANDOVER_PROGRESS);
    for (size_t i = 0; i < workers_running(&hs->rt->workers) && rc == 0; i++)
        rc = send_progress_of(hs, worker_sessions(workers_at(&hs->rt->workers, i)));
    return rc < 0 ? rc : handover_channel_end(&hs->channel);
}

static int send_late(struct handover_sender *hs)
{
    int rc = 0;
    handover_channel_begin(&hs->channel, HANDOVER_LATE_SESSIONS);
    for (size_t i = 0; i < workers_running(&hs->rt->workers) && rc == 0; i++)
        rc = send_late_of(hs, worker_sessions(workers_at(&hs->rt->workers, i)), i);
    return rc < 0 ? rc : handover_channel_end(&hs->channel);
}

/* staged: of sessions in HANDOVER_PROGRESS, or of those in HANDOVER_LATE_SESSIONS. */
static int send_tls_of(struct handover_sender *hs, const struct sessions *all, bool staged)
{
    const struct session *s;
    struct session_tls e;
    int rc = 0;
    LIST_FOREACH(s, &all->all, in_all) {
        unsigned sides = session_record_tls_sides(s);
        if (s->staged != staged || sides == 0 || session_record_stays(s))
            continue;
        for (unsigned side = SESSION_RECORD_TLS_CLIENT; side <= sides && rc == 0; side <<= 1) {
            if ((sides & side) == 0)
                continue;
            session_record_tls(s, (uint8_t)side, &e);
            rc = handover_channel_add(&hs->channel, &e, sizeof e, NULL, 0);
        }
    }
    explicit_bzero(&e, sizeof e);
    return rc;
}

static int send_tls(struct handover_sender *hs)
{
    int rc = 0;
    size_t count = workers_running(&hs->rt->workers);
    handover_channel_begin(&hs->channel, HANDOVER_TLS);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = send_tls_of(hs, worker_sessions(workers_at(&hs->rt->workers, i)), true);
    for (size_t i = 0; i < count && rc == 0; i++)
        rc = send_tls_of(hs, worker_sessions(workers_at(&hs->rt->workers, i)), false);
    return rc < 0 ? rc : handover_channel_end(&hs->channel);
}

static void set_deadline(struct handover_sender *hs, uint64_t now)
{
    uint64_t allowed = now - hs->began;
    if (allowed < PAUSE_MIN_US)
        allowed = PAUSE_MIN_US;
    if (allowed > HANDOVER_TIMEOUT_MS * 1000)
        allowed = HANDOVER_TIMEOUT_MS * 1000;
    hs->channel.deadline = handover_channel_now_us() + allowed;
}

/* The last message gives up the sessions. Until the new process has received it, it does not touch
 * them, so it can be killed and the workers can continue. */
static int transfer_sessions(struct handover_sender *hs)
{
    uint64_t began = handover_channel_now_us();
    int rc = pause_workers(hs, &pause_barrier, &pause_count);
    set_deadline(hs, began);
    if (rc < 0)
        rc = handover_channel_fail(&hs->channel, "pausing the workers", rc);
    else
        rc = send_progress(hs);
    if (rc == 0)
        rc = send_late(hs);
    if (rc == 0)
        rc = send_tls(hs);
    if (rc == 0)
        rc = handover_state_send_process(&hs->channel, hs->rt);
    if (rc == 0)
        rc = handover_channel_request(&hs->channel, HANDOVER_COMPLETE, HANDOVER_TAKEN_OVER);
    if (rc == 0)
        rc = handover_channel_send(&hs->channel, HANDOVER_TAKEN_OVER);
    if (rc < 0) {
        hs->kill_receiver(hs->arg);
        resume_workers(hs, &pause_barrier, pause_count);
    }
    hs->result->paused_us = handover_channel_now_us() - began;
    return rc;
}

/* Everything that can be sent while the workers run. */
static int send_prepared(struct handover_sender *hs)
{
    int rc = handover_state_send(&hs->channel, hs->rt);
    if (rc == 0)
        rc = send_final(hs);
    return rc < 0 ? rc : handover_channel_request(&hs->channel, HANDOVER_PREPARED, HANDOVER_ACCEPT);
}

int handover_send(struct runtime *rt, int sock, void (*kill_receiver)(void *arg), void *arg,
                  struct handover_send_result *result)
{
    struct handover_sender hs = {
        .rt = rt,
        .kill_receiver = kill_receiver,
        .arg = arg,
        .result = result,
        .began = handover_channel_now_us(),
    };
    memset(result, 0, sizeof *result);
    int rc = handover_channel_init(&hs.channel, sock, "the new program");
    if (rc < 0)
        (void)handover_channel_fail(&hs.channel, "packing", rc);
    else
        rc = send_prepared(&hs);
    if (rc == 0)
        rc = transfer_sessions(&hs);
    else
        unstage_all(&hs);
    memcpy(result->error, hs.channel.error, sizeof result->error);
    handover_channel_fini(&hs.channel);
    return rc;
}

/* ---- after the handover ---- */

void handover_send_keep_rest(void)
{
    pause_barrier.keeps_rest = true;
    worker_barrier_release(&pause_barrier, pause_count);
}

bool handover_send_staying(int sock, uint64_t sessions)
{
    const struct handover_staying e = { (uint64_t)getpid(), sessions };
    struct handover_message *m = malloc(sizeof *m);
    if (m == NULL)
        return false;
    handover_message_init(m, HANDOVER_STAYING);
    (void)handover_message_add(m, &e, sizeof e, NULL, 0);
    bool sent = handover_message_send(sock, m, STAYING_TIMEOUT_MS) == 0;
    free(m);
    return sent;
}

static bool get_log_loss(const uint64_t sent[LOG_NAME_COUNT], struct handover_log_loss *e)
{
    bool any = false;
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        log_closed_loss((enum log_name)i, &e->loss[i]);
        e->loss[i].dropped -= sent[i];
        any |= e->loss[i].dropped > 0 || e->loss[i].unreported > 0;
    }
    return any;
}

void handover_send_log_loss(int sock, const uint64_t sent[LOG_NAME_COUNT])
{
    struct handover_log_loss e;
    struct handover_message *m = get_log_loss(sent, &e) ? malloc(sizeof *m) : NULL;
    if (m == NULL)
        return;
    handover_message_init(m, HANDOVER_LOG_LOSS);
    (void)handover_message_add(m, &e, sizeof e, NULL, 0);
    (void)handover_message_send(sock, m, LOG_LOSS_TIMEOUT_MS);
    free(m);
}
