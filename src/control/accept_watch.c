#include "control/accept_watch.h"

#include "base/log.h"

#define CHECK_MS 1000

/* ---- the log ---- */

/* The limit that was reached, with the number of its sessions. */
static const struct conn_limit *conn_limit_of(const struct accept_watch *w,
                                              const struct listener_state *e,
                                              enum accept_reason reason)
{
    return reason == ACCEPT_LISTENER_MAX_CONNECTIONS ? &e->conn_limit : w->conn_limit;
}

static void accept_watch_begin_line(struct log_line *line, enum log_level level, const char *event,
                                    const struct listener_state *e, enum accept_reason reason)
{
    log_begin(line, level, event);
    log_str(line, "listener", e->name);
    log_str(line, "reason", accept_reason_name(reason));
}

static void log_paused(const struct accept_watch *w, const struct listener_state *e,
                       enum accept_reason reason)
{
    const struct conn_limit *g = conn_limit_of(w, e, reason);
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_WARNING))
        return;
    accept_watch_begin_line(&line, LOG_LEVEL_WARNING, "accept_paused", e, reason);
    log_uint(&line, "sessions", conn_limit_used(g));
    if (conn_limit_max(g) != UINT64_MAX)
        log_uint(&line, "limit", conn_limit_max(g));
    log_str(&line, "msg", "new clients wait in the kernel's queue until there is room");
    log_end(&line);
}

static void log_resumed(const struct listener_state *e, uint64_t now)
{
    struct log_line line;
    if (!log_is_enabled(LOG_LEVEL_NOTICE))
        return;
    accept_watch_begin_line(&line, LOG_LEVEL_NOTICE, "accept_resumed", e, e->watched.reason);
    log_uint(&line, "paused_ms", now - e->watched.since);
    log_end(&line);
}

/* ---- one listener ---- */

/* Why the listener has paused since the last check, or is still paused. */
static enum accept_reason accept_watch_read(struct listener_state *e)
{
    struct accept_state *s = &e->accept;
    /* acquire: the reason, which is written before pauses, is read after it */
    uint64_t pauses = atomic_load_explicit(&s->pauses, memory_order_acquire);
    bool paused =
        pauses != e->watched.pauses || atomic_load_explicit(&s->paused, memory_order_relaxed) > 0;
    e->watched.pauses = pauses;
    return paused ? (enum accept_reason)atomic_load_explicit(&s->reason, memory_order_relaxed)
                  : ACCEPT_OPEN;
}

/* Lets the next pause be reported. A pause since the check has not been reported: then the flag is
 * set again, and the timer goes on. seq_cst: accept_state_pause() writes pauses before it reads
 * reported, and here reported is written before pauses is read, so one thread sees the other's
 * write. */
static void rearm_report(struct listener_state *e)
{
    struct accept_state *s = &e->accept;
    atomic_store(&s->reported, false);
    if (atomic_load(&s->pauses) != e->watched.pauses)
        atomic_store_explicit(&s->reported, true, memory_order_relaxed);
}

static void accept_watch_set_paused(const struct accept_watch *w, struct listener_state *e,
                                    enum accept_reason reason, uint64_t now)
{
    struct accept_watched *seen = &e->watched;
    if (reason != seen->reason)
        log_paused(w, e, reason);
    if (seen->reason == ACCEPT_OPEN)
        seen->since = now;
    seen->reason = reason;
    seen->last = now;
}

static void accept_watch_set_open(struct listener_state *e, uint64_t now)
{
    struct accept_watched *seen = &e->watched;
    if (seen->reason != ACCEPT_OPEN && now - seen->last < CHECK_MS)
        return;
    if (seen->reason != ACCEPT_OPEN)
        log_resumed(e, now);
    seen->reason = ACCEPT_OPEN;
    rearm_report(e);
}

static void accept_watch_update(const struct accept_watch *w, struct listener_state *e)
{
    enum accept_reason reason = accept_watch_read(e);
    if (reason == ACCEPT_OPEN)
        accept_watch_set_open(e, uv_now(w->check_timer.loop));
    else
        accept_watch_set_paused(w, e, reason, uv_now(w->check_timer.loop));
}

/* ---- all listeners ---- */

static bool is_reported(const struct listener_state *e)
{
    return atomic_load_explicit(&e->accept.reported, memory_order_relaxed);
}

static void on_check_timer(uv_timer_t *timer);

/* Checks the listeners that have paused for the first time. Those that are known to be paused are
 * checked by the timer, once a second. */
static void on_reported(uv_async_t *async)
{
    struct accept_watch *w = async->data;
    struct listener_state *e;
    if (w->stopped)
        return;
    LIST_FOREACH(e, w->listener_states, in_all)
        if (is_reported(e) && e->watched.reason == ACCEPT_OPEN)
            accept_watch_update(w, e);
    if (!uv_is_active((const uv_handle_t *)&w->check_timer))
        uv_timer_start(&w->check_timer, on_check_timer, CHECK_MS, CHECK_MS);
}

static void on_check_timer(uv_timer_t *timer)
{
    struct accept_watch *w = timer->data;
    struct listener_state *e;
    bool any = false;
    LIST_FOREACH(e, w->listener_states, in_all) {
        if (is_reported(e))
            accept_watch_update(w, e);
        any |= is_reported(e);
    }
    if (!any)
        uv_timer_stop(timer);
}

int accept_watch_init(struct accept_watch *w, uv_loop_t *loop,
                      struct listener_state_list *listener_states,
                      const struct conn_limit *conn_limit)
{
    w->listener_states = listener_states;
    w->conn_limit = conn_limit;
    w->stopped = false;
    uv_timer_init(loop, &w->check_timer); /* cannot fail */
    w->check_timer.data = w->reported.data = w;
    return uv_async_init(loop, &w->reported, on_reported);
}

void accept_watch_report(void *arg)
{
    struct accept_watch *w = arg;
    uv_async_send(&w->reported);
}

void accept_watch_stop(struct accept_watch *w)
{
    struct listener_state *e;
    w->stopped = true;
    uv_timer_stop(&w->check_timer);
    LIST_FOREACH(e, w->listener_states, in_all)
        e->watched.reason = ACCEPT_OPEN;
}

enum accept_reason accept_watch_reason(const struct listener_state *e)
{
    return e->watched.reason;
}

enum accept_reason accept_watch_process(const struct accept_watch *w)
{
    const struct listener_state *e;
    LIST_FOREACH(e, w->listener_states, in_all)
        if (e->watched.reason != ACCEPT_OPEN &&
            e->watched.reason != ACCEPT_LISTENER_MAX_CONNECTIONS)
            return e->watched.reason;
    return ACCEPT_OPEN;
}
