#include "control/accept_watch.h"

#include "base/log.h"

#define LOOK_MS 1000

/* ---- the log ---- */

/* The limit that was reached, and how many sessions there are of it. */
static const struct gate *gate_of(const struct accept_watch *w, const struct entrance *e,
                                  enum accept_reason reason)
{
    return reason == ACCEPT_LISTENER_MAX_CONNECTIONS ? &e->gate : w->gate;
}

static void begin_line(struct log_line *line, enum log_level level, const char *event,
                       const struct entrance *e, enum accept_reason reason)
{
    log_begin(line, level, event);
    log_str(line, "listener", e->name);
    log_str(line, "reason", accept_reason_name(reason));
}

static void log_paused(const struct accept_watch *w, const struct entrance *e,
                       enum accept_reason reason)
{
    const struct gate *g = gate_of(w, e, reason);
    struct log_line line;
    if (!log_wanted(LOG_LEVEL_WARNING))
        return;
    begin_line(&line, LOG_LEVEL_WARNING, "accept_paused", e, reason);
    log_uint(&line, "sessions", gate_inside(g));
    if (gate_limit(g) != UINT64_MAX)
        log_uint(&line, "limit", gate_limit(g));
    log_str(&line, "msg", "new clients wait in the kernel's queue until there is room");
    log_end(&line);
}

static void log_resumed(const struct entrance *e, uint64_t now)
{
    struct log_line line;
    if (!log_wanted(LOG_LEVEL_NOTICE))
        return;
    begin_line(&line, LOG_LEVEL_NOTICE, "accept_resumed", e, e->watched.reason);
    log_uint(&line, "paused_ms", now - e->watched.since);
    log_end(&line);
}

/* ---- a look at a listener ---- */

/* It has paused since the last look, or is paused still: under this reason. */
static enum accept_reason look_at(struct entrance *e)
{
    struct accept_state *s = &e->accept;
    uint64_t pauses = atomic_load(&s->pauses);
    bool paused = pauses != e->watched.pauses || atomic_load(&s->paused) > 0;
    e->watched.pauses = pauses;
    return paused ? (enum accept_reason)atomic_load(&s->reason) : ACCEPT_OPEN;
}

/* A socket that pauses from here on reports it; one that has paused just now has not. */
static void stop_looking(struct entrance *e)
{
    struct accept_state *s = &e->accept;
    atomic_store(&s->reported, false);
    if (atomic_load(&s->pauses) != e->watched.pauses)
        atomic_store(&s->reported, true);
}

static void note_paused(const struct accept_watch *w, struct entrance *e, enum accept_reason reason,
                        uint64_t now)
{
    struct accept_watched *seen = &e->watched;
    if (reason != seen->reason)
        log_paused(w, e, reason);
    if (seen->reason == ACCEPT_OPEN)
        seen->since = now;
    seen->reason = reason;
    seen->last = now;
}

static void note_open(struct entrance *e, uint64_t now)
{
    struct accept_watched *seen = &e->watched;
    if (seen->reason != ACCEPT_OPEN && now - seen->last < LOOK_MS)
        return;
    if (seen->reason != ACCEPT_OPEN)
        log_resumed(e, now);
    seen->reason = ACCEPT_OPEN;
    stop_looking(e);
}

static void update(const struct accept_watch *w, struct entrance *e)
{
    enum accept_reason reason = look_at(e);
    if (reason == ACCEPT_OPEN)
        note_open(e, uv_now(w->look.loop));
    else
        note_paused(w, e, reason, uv_now(w->look.loop));
}

/* ---- all of them ---- */

static bool is_reported(const struct entrance *e)
{
    return atomic_load(&e->accept.reported);
}

static void on_look(uv_timer_t *timer);

/* Those that are known to be paused are looked at by the timer alone: not more than once a second.
 */
static void on_reported(uv_async_t *async)
{
    struct accept_watch *w = async->data;
    struct entrance *e;
    if (w->stopped)
        return;
    LIST_FOREACH(e, w->entrances, in_all)
        if (is_reported(e) && e->watched.reason == ACCEPT_OPEN)
            update(w, e);
    if (!uv_is_active((const uv_handle_t *)&w->look))
        uv_timer_start(&w->look, on_look, LOOK_MS, LOOK_MS);
}

static void on_look(uv_timer_t *timer)
{
    struct accept_watch *w = timer->data;
    struct entrance *e;
    bool any = false;
    LIST_FOREACH(e, w->entrances, in_all) {
        if (is_reported(e))
            update(w, e);
        any |= is_reported(e);
    }
    if (!any)
        uv_timer_stop(timer);
}

int accept_watch_init(struct accept_watch *w, uv_loop_t *loop, struct entrance_list *entrances,
                      const struct gate *gate)
{
    w->entrances = entrances;
    w->gate = gate;
    w->stopped = false;
    uv_timer_init(loop, &w->look); /* cannot fail */
    w->look.data = w->reported.data = w;
    return uv_async_init(loop, &w->reported, on_reported);
}

void accept_watch_report(void *arg)
{
    struct accept_watch *w = arg;
    uv_async_send(&w->reported);
}

void accept_watch_stop(struct accept_watch *w)
{
    struct entrance *e;
    w->stopped = true;
    uv_timer_stop(&w->look);
    LIST_FOREACH(e, w->entrances, in_all)
        e->watched.reason = ACCEPT_OPEN;
}

enum accept_reason accept_watch_reason(const struct entrance *e)
{
    return e->watched.reason;
}

enum accept_reason accept_watch_process(const struct accept_watch *w)
{
    const struct entrance *e;
    LIST_FOREACH(e, w->entrances, in_all)
        if (e->watched.reason != ACCEPT_OPEN &&
            e->watched.reason != ACCEPT_LISTENER_MAX_CONNECTIONS)
            return e->watched.reason;
    return ACCEPT_OPEN;
}
