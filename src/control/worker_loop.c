/* The event loop of a worker, which is libuv's.
 *
 * Its handles are a uv_poll_t for each listener (session/listener.h), one for the event set with
 * the sessions' sockets, and a uv_async_t for other threads. One iteration of the loop is one
 * wake-up of the worker, in three steps:
 *
 * - on_prepare() busy-polls the event set (relay/busy_poll.h), and starts the timer for the next
 * timeout, or the idle handle if the loop must not sleep.
 *
 * - libuv waits. Then listeners accept, on_events() handles the event set, and on_async() handles
 * messages and orders.
 *
 * - on_check() continues sessions that have more to do, handles timeouts, and frees sessions that
 * have ended.
 */
#include "control/worker_internal.h"

#include <stddef.h>

#include "base/loop_watch.h"
#include "relay/syscall.h"
#include "session/session_close.h"

/* In a busy poll, every eighth check is of the loop's own epoll set, which has the listeners. */
#define LOOKS_PER_POLL 8

/* ---- orders ---- */

static bool is_aborted(const struct worker *w)
{
    return w->aborted_at != UINT64_MAX;
}

/* Resets the sessions, but only after all events from before the order have been handled: a FIN
 * that has arrived still ends its session normally. */
static void abort_sessions(struct worker *w)
{
    if (w->set.settled < w->aborted_at)
        return;
    sessions_close_all(&w->sessions, SESSION_END_SHUTDOWN);
    sessions_reap(&w->sessions);
}

static void on_async(uv_async_t *async)
{
    struct worker *w = async->data;
    event_set_wake(&w->set);
    mailbox_run(&w->mailbox, w); /* first: it may release sockets, which a drain would close */
    /* seq_cst: pairs with order() */
    switch ((enum worker_order)atomic_load_explicit(&w->order, memory_order_seq_cst)) {
    case WORKER_RELAY:
        listeners_resume(&w->listeners);
        break;
    case WORKER_DRAIN:
        listeners_drain(&w->listeners);
        break;
    case WORKER_ABORT:
        listeners_drain(&w->listeners);
        if (!is_aborted(w))
            w->aborted_at = w->set.now;
        break;
    }
    sessions_connect_granted(&w->sessions);
}

/* ---- events ---- */

/* count: the result of event_set_look(). */
static void handle_events(struct worker *w, int count)
{
    event_set_wake(&w->set);
    event_set_dispatch(&w->set, count);
    w->loop.looked = true;
}

static void on_events(uv_poll_t *poll, int status, int events)
{
    struct worker *w = poll->data;
    (void)status; /* an epoll set has no errors */
    (void)events;
    handle_events(w, event_set_look(&w->set));
}

/* ---- before the loop sleeps ---- */

static uint64_t next_timeout(const struct worker *w)
{
    uint64_t sessions = sessions_due(&w->sessions);
    uint64_t retry = w->listeners.retry_at;
    return sessions < retry ? sessions : retry;
}

/* The time of the next wake-up, ms; 0: at once. */
static uint64_t next_wakeup(const struct worker *w)
{
    return sessions_are_busy(&w->sessions) || is_aborted(w) ? 0 : next_timeout(w);
}

static bool is_loop_ready(const struct worker *w)
{
    struct epoll_event event;
    return sys_epoll_wait(uv_backend_fd(&w->loop.uv), &event, 1, 0) > 0;
}

/* Checks for events instead of sleeping, a limited number of times. Returns whether the event set
 * had events; these have been handled. */
static bool busy_poll(struct worker *w)
{
    uint32_t looks = busy_poll_begin(&w->set.busy_poll);
    bool loop_ready = false;
    int count = 0;
    if (looks == 0)
        return false;
    for (uint32_t i = 1; i <= looks && count <= 0 && !loop_ready; i++)
        if (i % LOOKS_PER_POLL == 0)
            loop_ready = is_loop_ready(w);
        else
            count = event_set_look(&w->set);
    busy_poll_end(&w->set.busy_poll, count > 0 || loop_ready);
    if (count <= 0)
        return false;
    uv_update_time(&w->loop.uv);
    handle_events(w, count);
    return true;
}

static void on_timer(uv_timer_t *timer)
{
    struct worker *w = timer->data;
    w->loop.timer_at = UINT64_MAX;
}

/* The timer only wakes the loop: on_check() handles timeouts, after the events. */
static void worker_loop_set_timer(struct worker *w, uint64_t at)
{
    struct worker_loop *l = &w->loop;
    if (at == l->timer_at)
        return;
    l->timer_at = at;
    if (at == UINT64_MAX)
        uv_timer_stop(&l->timer);
    else
        uv_timer_start(&l->timer, on_timer, at - uv_now(&l->uv), 0);
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle; /* the handle is started only so that libuv does not sleep */
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct worker *w = prepare->data;
    uint64_t at = next_wakeup(w);
    event_set_sleep(&w->set, at);
    w->loop.looked = false;
    if (at <= uv_now(&w->loop.uv) || busy_poll(w)) {
        uv_idle_start(&w->loop.idle, on_idle);
    } else {
        uv_idle_stop(&w->loop.idle);
        worker_loop_set_timer(w, at);
    }
}

/* ---- after events ---- */

/* Before timeouts and an abort, older events of the event set must have been handled. libuv may not
 * have reported them: a signal may have interrupted its epoll_wait(2) (SIGSTOP, SIGCONT). */
static void look_before_due(struct worker *w)
{
    if (!w->loop.looked && (next_timeout(w) <= w->set.now || is_aborted(w)))
        handle_events(w, event_set_look(&w->set));
}

static bool is_drained(const struct worker *w)
{
    return w->listeners.draining && gauge_get(&w->sessions.count) == 0;
}

static void on_check(uv_check_t *check)
{
    struct worker *w = check->data;
    event_set_wake(&w->set);
    look_before_due(w);
    sessions_process(&w->sessions);
    listeners_retry(&w->listeners);
    if (is_aborted(w))
        abort_sessions(w);
    grace_quiescent(w->setup.grace, &w->reader);
    if (is_drained(w))
        uv_stop(&w->loop.uv);
}

/* ---- the loop ---- */

/* None of these calls can fail. */
static void init_handles(struct worker *w)
{
    struct worker_loop *l = &w->loop;
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->timer);
    l->events.data = l->async.data = l->prepare.data = l->check.data = l->timer.data = w;
    l->timer_at = UINT64_MAX;
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
}

int worker_loop_init(struct worker *w)
{
    struct worker_loop *l = &w->loop;
    int rc = uv_loop_init(&l->uv);
    if (rc < 0)
        return rc;
    if ((rc = event_set_init(&w->set, &l->uv, w->setup.busy_poll, w->setup.busy_poll_us)) < 0)
        goto close_loop;
    if ((rc = uv_async_init(&l->uv, &l->async, on_async)) < 0)
        goto close_set;
    if ((rc = uv_poll_init(&l->uv, &l->events, w->set.fd)) < 0)
        goto close_async;
    if ((rc = loop_watch_start(&l->events, on_events)) < 0)
        goto close_poll;
    init_handles(w);
    return 0;
close_poll:
    uv_close((uv_handle_t *)&l->events, NULL);
close_async:
    uv_close((uv_handle_t *)&l->async, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
close_set:
    event_set_fini(&w->set);
close_loop:
    uv_loop_close(&l->uv);
    return rc;
}

void worker_loop_fini(struct worker *w)
{
    struct worker_loop *l = &w->loop;
    uv_handle_t *const all[] = {
        (uv_handle_t *)&l->async, (uv_handle_t *)&l->events, (uv_handle_t *)&l->prepare,
        (uv_handle_t *)&l->check, (uv_handle_t *)&l->idle,   (uv_handle_t *)&l->timer,
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        uv_close(all[i], NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT); /* runs the close callbacks, also those of the listeners */
    uv_loop_close(&l->uv);
    event_set_fini(&w->set);
}

void worker_loop_run(struct worker *w)
{
    uv_run(&w->loop.uv, UV_RUN_DEFAULT);
}
