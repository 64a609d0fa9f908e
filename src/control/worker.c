#include "control/worker.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/log.h"
#include "session/listener.h"
#include "session/session.h"

/* Out of descriptors with no session of its own to end, a worker looks again after this time. */
#define RETRY_MS 100

enum worker_order {
    WORKER_RELAY,
    WORKER_DRAIN,
    WORKER_ABORT,
};

struct worker_listener {
    struct listener listener;
    LIST_ENTRY(worker_listener) in_worker;
};

LIST_HEAD(worker_listeners, worker_listener);

struct worker {
    struct worker_setup setup;
    pthread_t thread;
    sem_t start;     /* its thread waits for it before all else */
    bool has_thread; /* that has not been joined */
    uv_loop_t loop;
    uv_async_t async;
    uint64_t retry_at;   /* ms; UINT64_MAX: no listener waits for descriptors */
    uint64_t aborted_at; /* ms: when it was told to; UINT64_MAX: it was not */
    struct poller poller;
    struct sessions sessions;
    struct grace_reader reader;
    struct mailbox mailbox;
    struct worker_listeners listeners;
    struct worker_listeners closed; /* until the wake-up is over */
    struct listener_list paused;
    bool draining;
    _Atomic bool finished;
    _Atomic int order; /* enum worker_order, written by anyone */
};

/* Returns whether that is to be tried again after a while. */
static bool resume_all(struct worker *w)
{
    bool any_failed = false;
    if (w->draining)
        return false;
    if (!fd_reserve_fill(&w->sessions.fd_reserve))
        return true;
    struct listener *l = LIST_FIRST(&w->paused);
    while (l != NULL) {
        struct listener *next = LIST_NEXT(l, in_paused);
        any_failed |= !listener_resume(l);
        l = next;
    }
    return any_failed;
}

static void pause_all(struct worker *w, enum accept_reason reason)
{
    struct worker_listener *wl;
    LIST_FOREACH(wl, &w->listeners, in_worker)
        listener_pause(&wl->listener, reason);
}

static void retry(struct worker *w)
{
    w->retry_at = resume_all(w) ? w->poller.now + RETRY_MS : UINT64_MAX;
}

static void pause_for_room(struct worker *w, int error)
{
    pause_all(w, accept_reason_of(error));
    w->retry_at = w->poller.now + RETRY_MS;
}

static void on_exhausted(struct listener *l, int error)
{
    pause_for_room(l->arg, error);
}

static void on_report(struct listener *l)
{
    const struct worker *w = l->arg;
    w->setup.accept_paused(w->setup.accept_paused_arg);
}

static void on_accepted(struct listener *l, int fd, const struct addr_peer *client)
{
    struct worker *w = l->arg;
    session_begin(&w->sessions, l->frontend, fd, client);
    if (w->sessions.fd_reserve.fd == -1 && !w->draining)
        pause_for_room(w, EMFILE);
}

/* Room for others, if the lack of descriptors was what stopped this worker. */
static void on_session_ended(struct sessions *all, void *arg)
{
    (void)all;
    struct worker *w = arg;
    if (w->retry_at != UINT64_MAX)
        w->retry_at = 0;
}

static void worker_close_listeners(struct worker *w)
{
    struct worker_listener *wl;
    if (w->draining)
        return;
    w->draining = true;
    LIST_FOREACH(wl, &w->listeners, in_worker)
        listener_close(&wl->listener);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    mailbox_run(&w->mailbox, w); /* before a drain, which closes the sockets that it still has */
    switch ((enum worker_order)atomic_load(&w->order)) {
    case WORKER_RELAY:
        (void)resume_all(w); /* what is in vain has a time of its own */
        break;
    case WORKER_DRAIN:
        worker_close_listeners(w);
        break;
    case WORKER_ABORT:
        worker_close_listeners(w);
        if (w->aborted_at == UINT64_MAX)
            w->aborted_at = w->poller.now;
        break;
    }
    sessions_connect_granted(&w->sessions);
}

#define WORKER_OF(member_ptr, member) \
    ((struct worker *)((char *)(member_ptr)-offsetof(struct worker, member)))

static void on_inbox(struct inbox *in)
{
    worker_wake(WORKER_OF(in, sessions.inbox));
}

/* From any thread. */
static void worker_on_posted(void *arg)
{
    worker_wake(arg);
}

static void on_grace(struct grace_reader *r)
{
    worker_wake(WORKER_OF(r, reader));
}

static void name_and_pin(const struct worker *w)
{
    char name[16];
    snprintf(name, sizeof name, "zproxy-%u", w->setup.index % 10000);
    pthread_setname_np(pthread_self(), name);
    if (w->setup.cpu == -1)
        return;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(w->setup.cpu, &set);
    int rc = pthread_setaffinity_np(pthread_self(), sizeof set, &set);
    if (rc != 0)
        log_msg(LOG_LEVEL_WARNING, "cpu_affinity", "worker %u: cpu %d: %s", w->setup.index,
                w->setup.cpu, strerror(rc));
}

static void free_listeners(struct worker_listeners *list)
{
    struct worker_listener *wl;
    while ((wl = LIST_FIRST(list)) != NULL) {
        LIST_REMOVE(wl, in_worker);
        if (wl->listener.fd != -1)
            close(wl->listener.fd);
        free(wl);
    }
}

/* Resets sessions after all that was ready when the order came has been handled: their ends may
 * wait in the sockets. */
static void worker_abort_sessions(struct worker *w)
{
    if (w->poller.settled < w->aborted_at)
        return;
    sessions_close_all(&w->sessions, SESSION_END_SHUTDOWN);
    sessions_reap(&w->sessions);
}

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    while (sem_wait(&w->start) == -1) /* EINTR */
        ;
    grace_online(w->setup.grace, &w->reader);
    name_and_pin(w);
    while (!w->draining || gauge_get(&w->sessions.count) > 0) {
        sessions_run(&w->sessions, w->aborted_at == UINT64_MAX ? w->retry_at : 0);
        if (w->retry_at <= w->poller.now)
            retry(w);
        if (w->aborted_at != UINT64_MAX)
            worker_abort_sessions(w);
        free_listeners(&w->closed);
        grace_quiescent(w->setup.grace, &w->reader);
    }
    mailbox_close(&w->mailbox, w);
    grace_offline(&w->reader);
    atomic_store(&w->finished, true);
    w->setup.finished(w->setup.arg); /* w is there until the thread has been joined */
    return NULL;
}

/* One that waits for its start finds that it is told to end. */
void worker_stop(struct worker *w)
{
    if (!w->has_thread)
        return;
    worker_abort(w);
    sem_post(&w->start);
    worker_join(w);
}

/* About what it takes to sleep and to be woken in a virtual machine, where that takes longest. */
#define BUSY_POLL_AUTO_US 20

void worker_setup_busy_poll(struct worker_setup *setup, uint64_t busy_poll)
{
    setup->busy_poll = BUSY_POLL_ALWAYS;
    setup->busy_poll_us = busy_poll;
    if (busy_poll == CONFIG_BUSY_POLL_OFF) {
        setup->busy_poll = BUSY_POLL_NEVER;
        setup->busy_poll_us = 0;
    } else if (busy_poll == 0) {
        setup->busy_poll = BUSY_POLL_AUTO;
        setup->busy_poll_us = BUSY_POLL_AUTO_US;
    }
}

int worker_new(struct worker **out, const struct worker_setup *setup)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return -ENOMEM;
    w->setup = *setup;
    LIST_INIT(&w->listeners);
    LIST_INIT(&w->closed);
    LIST_INIT(&w->paused);
    int rc = uv_loop_init(&w->loop);
    if (rc < 0)
        goto free_worker;
    if ((rc = uv_async_init(&w->loop, &w->async, on_async)) < 0)
        goto close_loop;
    if ((rc = poller_init(&w->poller, &w->loop, setup->busy_poll, setup->busy_poll_us)) < 0)
        goto close_async;
    if ((rc = relay_stock_init(&w->sessions.relay_stock, setup->splice, setup->quota,
                               setup->pipe_size)) < 0)
        goto close_poller;
    w->retry_at = w->aborted_at = UINT64_MAX;
    w->async.data = w;
    atomic_init(&w->order, WORKER_RELAY);
    sessions_init(&w->sessions, &w->poller, setup->last_session_id, on_session_ended, w, on_inbox);
    mailbox_init(&w->mailbox, worker_on_posted, w);
    sem_init(&w->start, 0, 0);
    w->reader.wake = on_grace;
    grace_register(setup->grace, &w->reader);
    grace_offline(&w->reader); /* until it runs */
    *out = w;
    return 0;
close_poller:
    poller_fini(&w->poller);
close_async:
    uv_close((uv_handle_t *)&w->async, NULL);
    uv_run(&w->loop, UV_RUN_NOWAIT);
close_loop:
    uv_loop_close(&w->loop);
free_worker:
    free(w);
    return rc;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    worker_stop(w);
    free_listeners(&w->listeners);
    free_listeners(&w->closed);
    grace_unregister(w->setup.grace, &w->reader);
    mailbox_fini(&w->mailbox);
    sem_destroy(&w->start);
    sessions_fini(&w->sessions);
    relay_stock_fini(&w->sessions.relay_stock);
    poller_fini(&w->poller);
    uv_close((uv_handle_t *)&w->async, NULL);
    uv_run(&w->loop, UV_RUN_DEFAULT); /* lets the close happen */
    uv_loop_close(&w->loop);
    free(w);
}

struct worker_listener *worker_listener_new(void)
{
    return calloc(1, sizeof(struct worker_listener));
}

void worker_listener_free(struct worker_listener *wl)
{
    free(wl);
}

void worker_listen(struct worker *w, struct worker_listener *wl, int fd, struct frontend *frontend)
{
    wl->listener.accepted = on_accepted;
    wl->listener.exhausted = on_exhausted;
    wl->listener.report = on_report;
    wl->listener.arg = w;
    wl->listener.all_paused = &w->paused;
    listener_open(&wl->listener, fd, frontend, &w->poller);
    LIST_INSERT_HEAD(&w->listeners, wl, in_worker);
    if (w->draining)
        listener_close(&wl->listener);
    else if (wl->listener.paused)
        w->retry_at = w->poller.now + RETRY_MS;
}

void worker_set_frontend(struct worker_listener *wl, struct frontend *frontend)
{
    listener_set_frontend(&wl->listener, frontend);
}

/* Events of this wake-up may still point to it: it is freed a wake-up later. */
static void worker_listener_retire(struct worker *w, struct worker_listener *wl)
{
    LIST_REMOVE(wl, in_worker);
    LIST_INSERT_HEAD(&w->closed, wl, in_worker);
}

void worker_close(struct worker *w, struct worker_listener *wl)
{
    listener_close(&wl->listener);
    worker_listener_retire(w, wl);
}

void worker_release(struct worker *w, struct worker_listener *wl)
{
    (void)listener_detach(&wl->listener);
    worker_listener_retire(w, wl);
}

/* Signals are the main thread's. */
int worker_spawn(struct worker *w)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&w->thread, NULL, worker_main, w);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    w->has_thread = rc == 0;
    return -rc;
}

int worker_start(struct worker *w)
{
    int rc = w->has_thread ? 0 : worker_spawn(w);
    if (rc == 0)
        sem_post(&w->start);
    return rc;
}

void worker_join(struct worker *w)
{
    if (w->has_thread)
        pthread_join(w->thread, NULL);
    w->has_thread = false;
}

static void order(struct worker *w, enum worker_order o)
{
    atomic_store(&w->order, o);
    uv_async_send(&w->async);
}

void worker_wake(struct worker *w)
{
    uv_async_send(&w->async);
}

bool worker_post(struct worker *w, struct worker_message *l)
{
    return mailbox_post(&w->mailbox, l);
}

struct sessions *worker_sessions(struct worker *w)
{
    return &w->sessions;
}

unsigned worker_index(const struct worker *w)
{
    return w->setup.index;
}

bool worker_has_finished(const struct worker *w)
{
    return atomic_load(&w->finished);
}

void worker_drain(struct worker *w)
{
    order(w, WORKER_DRAIN);
}

void worker_abort(struct worker *w)
{
    order(w, WORKER_ABORT);
}

void worker_add_totals(const struct worker *w, struct worker_totals *sum)
{
    const struct sessions *all = &w->sessions;
    const struct relay_stock *m = &all->relay_stock;
    sum->sessions += counter_get(&all->total);
    for (int e = 0; e < SESSION_ENDS; e++)
        sum->ends[e] += counter_get(&all->ends[e]);
    for (int p = 0; p < RELAY_PATHS; p++)
        for (int d = 0; d < RELAY_DIRECTIONS; d++)
            sum->bytes[p][d] += counter_get(&m->bytes[p][d]);
    for (int f = 0; f < RELAY_FALLBACKS; f++)
        sum->fallbacks[f] += counter_get(&m->fallbacks[f]);
    for (int h = 0; h < SESSION_HISTOGRAMS; h++)
        histogram_add_totals(&all->histogram[h], &sum->histogram[h]);
}

uint64_t worker_totals_bytes(const struct worker_totals *sum, enum relay_path path)
{
    return sum->bytes[path][RELAY_UP] + sum->bytes[path][RELAY_DOWN];
}

uint64_t worker_totals_fallbacks(const struct worker_totals *sum)
{
    uint64_t n = 0;
    for (int f = 0; f < RELAY_FALLBACKS; f++)
        n += sum->fallbacks[f];
    return n;
}

/* The kernel keeps the time of each thread, so the worker has no clock to read. */
static uint64_t cpu_of(const struct worker *w)
{
    clockid_t clock;
    struct timespec used;
    if (!w->has_thread || pthread_getcpuclockid(w->thread, &clock) != 0 ||
        clock_gettime(clock, &used) == -1)
        return 0; /* it has just ended */
    return (uint64_t)used.tv_sec * 1000000000 + (uint64_t)used.tv_nsec;
}

void worker_stats(const struct worker *w, struct worker_stats *state)
{
    const struct pipe_stock *pipes = &w->sessions.relay_stock.pipes;
    *state = (struct worker_stats){
        .index = w->setup.index,
        .sessions = gauge_get(&w->sessions.count),
        .pipes_idle = gauge_get(&pipes->idle_count),
        .pipes_used = gauge_get(&pipes->used_count),
        .pipe_bytes = gauge_get(&pipes->bytes),
        .cpu = cpu_of(w),
    };
}
