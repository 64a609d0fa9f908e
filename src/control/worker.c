#include "control/worker.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "control/worker_internal.h"
#include "session/session_close.h"
#include "session/session_record.h"

/* Paused listeners may try to accept again. */
static void on_session_ended(struct sessions *all, void *arg)
{
    struct worker *w = arg;
    (void)all;
    listeners_note_room(&w->listeners);
}

#define WORKER_OF(member_ptr, member) \
    ((struct worker *)((char *)(member_ptr)-offsetof(struct worker, member)))

static void on_inbox(struct inbox *in)
{
    worker_wake(WORKER_OF(in, sessions.inbox));
}

/* Called from any thread. */
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

static void *worker_main(void *arg)
{
    struct worker *w = arg;
    while (sem_wait(&w->start) == -1) /* EINTR */
        ;
    grace_online(w->setup.grace, &w->reader);
    name_and_pin(w);
    worker_loop_run(w);
    mailbox_close(&w->mailbox, w);
    grace_offline(&w->reader);
    /* seq_cst: finished() calls uv_async_send(), which must not read its pending flag before this
     * store, as in order(). A thread that reads true finds the mailbox closed. */
    atomic_store_explicit(&w->finished, true, memory_order_seq_cst);
    w->setup.finished(w->setup.arg); /* w is freed only after the thread is joined */
    return NULL;
}

/* A thread that has not been started is let go, and finds the order to abort. */
void worker_stop(struct worker *w)
{
    if (!w->has_thread)
        return;
    worker_abort(w);
    sem_post(&w->start);
    worker_join(w);
}

/* About the time for sleeping and waking in a virtual machine, where these take longest. */
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
    w->aborted_at = UINT64_MAX;
    int rc = worker_loop_init(w);
    if (rc < 0)
        goto free_worker;
    if ((rc = relay_stock_init(&w->sessions.relay_stock, setup->splice, setup->quota,
                               setup->pipe_size)) < 0)
        goto close_loop;
    atomic_init(&w->order, WORKER_RELAY);
    sessions_init(&w->sessions, &w->set, setup->last_session_id, on_session_ended, w, on_inbox);
    listeners_init(&w->listeners, &w->loop.uv, &w->sessions, setup->accept_paused,
                   setup->accept_paused_arg);
    mailbox_init(&w->mailbox, worker_on_posted, w);
    sem_init(&w->start, 0, 0);
    w->reader.wake = on_grace;
    grace_register(setup->grace, &w->reader);
    grace_offline(&w->reader); /* until worker_main() */
    *out = w;
    return 0;
close_loop:
    worker_loop_fini(w);
free_worker:
    free(w);
    return rc;
}

void worker_free(struct worker *w)
{
    if (w == NULL)
        return;
    worker_stop(w);
    grace_unregister(w->setup.grace, &w->reader);
    mailbox_fini(&w->mailbox);
    sem_destroy(&w->start);
    sessions_fini(&w->sessions);
    relay_stock_fini(&w->sessions.relay_stock);
    listeners_fini(&w->listeners);
    worker_loop_fini(w);
    free(w);
}

void worker_listen(struct worker *w, struct listener *l, int fd, struct frontend *frontend)
{
    listener_open(l, &w->listeners, fd, frontend);
}

/* All signals are blocked in the thread: the main thread handles them. */
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
    /* seq_cst: uv_async_send() reads its pending flag without a barrier, which must not come before
     * this store: a pending wake-up could be handled before the worker can see the order */
    atomic_store_explicit(&w->order, (int)o, memory_order_seq_cst);
    uv_async_send(&w->loop.async);
}

void worker_wake(struct worker *w)
{
    uv_async_send(&w->loop.async);
}

bool worker_post(struct worker *w, struct worker_message *l)
{
    return mailbox_post(&w->mailbox, l);
}

void worker_abandon_listeners(struct worker *w)
{
    listeners_abandon(&w->listeners);
}

void worker_keep_rest(struct worker *w)
{
    worker_abandon_listeners(w);
    sessions_keep_rest(&w->sessions, session_record_stays);
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
    return atomic_load_explicit(&w->finished, memory_order_acquire); /* worker_main() */
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
    sum->tls_kernel += counter_get(&m->tls_kernel);
    for (int r = 0; r < TLS_USER_REASONS; r++)
        sum->tls_user[r] += counter_get(&m->tls_user[r]);
    sum->bad_records += counter_get(&m->bad_records);
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

uint64_t worker_totals_tls_user(const struct worker_totals *sum)
{
    uint64_t n = 0;
    for (int r = 0; r < TLS_USER_REASONS; r++)
        n += sum->tls_user[r];
    return n;
}

/* The kernel counts the CPU time of each thread, so the worker need not read a clock. */
static uint64_t cpu_of(const struct worker *w)
{
    clockid_t clock;
    struct timespec used;
    if (!w->has_thread || pthread_getcpuclockid(w->thread, &clock) != 0 ||
        clock_gettime(clock, &used) == -1)
        return 0; /* the thread has just ended */
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
