#include "metrics/stats_json.h"

#include "base/json.h"
#include "base/log.h"
#include "build.h"
#include "relay/mover.h"
#include "session/brief.h"
#include "session/end.h"

#define NS_PER_MS 1000000u
#define PIECE     32 /* servers at a time */

/* ---- totals ---- */

static void put_directions(struct json_writer *w, const char *name,
                           const uint64_t bytes[MOVER_DIRECTIONS])
{
    json_begin_object(w, name);
    json_number(w, "up", bytes[MOVER_UP]);
    json_number(w, "down", bytes[MOVER_DOWN]);
    json_end_object(w);
}

static void put_histogram(struct json_writer *w, const char *name, const struct histogram_totals *h,
                          const struct histogram_scale *scale)
{
    json_begin_object(w, name);
    json_begin_array(w, "bounds");
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
        json_number(w, NULL, histogram_bound(scale, i));
    json_end_array(w);
    json_begin_array(w, "counts");
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        json_number(w, NULL, h->bucket[i]);
    json_end_array(w);
    json_number(w, "sum", h->sum);
    json_end_object(w);
}

static void put_totals(struct json_writer *w, const struct worker_totals *t)
{
    json_begin_object(w, "totals");
    json_number(w, "sessions", t->sessions);
    json_begin_object(w, "ended");
    for (int why = SESSION_END_NONE + 1; why < SESSION_ENDS; why++)
        json_number(w, session_end_name((enum session_end)why), t->ends[why]);
    json_end_object(w);
    json_begin_object(w, "bytes");
    put_directions(w, "splice", t->bytes[MOVER_SPLICE]);
    put_directions(w, "copy", t->bytes[MOVER_COPY]);
    put_directions(w, "file", t->bytes[MOVER_FILE]);
    json_end_object(w);
    json_begin_object(w, "fallbacks");
    for (int f = 0; f < MOVER_FALLBACKS; f++)
        json_number(w, mover_fallback_name((enum mover_fallback)f), t->fallbacks[f]);
    json_end_object(w);
    put_histogram(w, "connect_ms", &t->connect_time, &sessions_connect_scale);
    put_histogram(w, "preread_ms", &t->preread_time, &sessions_connect_scale);
    put_histogram(w, "queue_ms", &t->queue_time, &sessions_connect_scale);
    put_histogram(w, "duration_ms", &t->duration, &sessions_duration_scale);
    put_histogram(w, "session_bytes", &t->session_bytes, &sessions_bytes_scale);
    json_end_object(w);
}

static void put_workers(struct json_writer *w, const struct snapshot *s)
{
    json_begin_array(w, "workers");
    for (size_t i = 0; i < s->worker_count; i++) {
        const struct worker_state *ws = &s->worker[i];
        json_begin_object(w, NULL);
        json_number(w, "worker", ws->index);
        json_number(w, "sessions", ws->sessions);
        json_number(w, "pipes_idle", ws->pipes_idle);
        json_number(w, "pipes_used", ws->pipes_used);
        json_number(w, "pipe_bytes", ws->pipe_bytes);
        json_number(w, "loop_ms", ws->cpu / NS_PER_MS);
        json_limit(w, "hangs_ms", s->worker_hangs[i]);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- listeners, pools ---- */

/* null: it accepts */
static void put_paused(struct json_writer *w, enum accept_reason reason)
{
    json_text(w, "paused", reason == ACCEPT_OPEN ? NULL : accept_reason_name(reason));
}

static void put_listener(struct json_writer *w, const struct snapshot_listener *l)
{
    json_begin_object(w, NULL);
    json_text(w, "name", l->name);
    json_text(w, "listener", l->name);
    json_text(w, "bind", l->bind);
    json_text(w, "pool", l->pool);
    json_number(w, "active", l->active);
    json_limit(w, "max_connections", l->max_connections);
    json_limit(w, "sessions_limit", l->max_connections);
    put_paused(w, l->paused);
    json_number(w, "connections", l->connections);
    json_begin_object(w, "refused");
    for (int why = 0; why < SESSION_ENDS; why++)
        if (session_end_is_refusal((enum session_end)why))
            json_number(w, session_end_name((enum session_end)why), l->refused[why]);
    json_end_object(w);
    json_end_object(w);
}

static void put_check(struct json_writer *w, const struct snapshot_check *c)
{
    if (!c->has) {
        json_text(w, "check", NULL);
        return;
    }
    json_begin_object(w, "check");
    json_flag(w, "passed", c->passed);
    json_text(w, "why", c->why);
    json_number(w, "passes", c->passes);
    json_number(w, "failures", c->failures);
    json_number(w, "duration_ms", c->duration);
    json_number(w, "age_ms", c->age);
    json_end_object(w);
}

static void put_server(struct json_writer *w, const struct snapshot_server *s)
{
    json_begin_object(w, NULL);
    json_text(w, "name", s->name);
    json_text(w, "pool", s->pool);
    json_text(w, "server_name", s->name);
    json_text(w, "address", s->address);
    json_text(w, "state", server_view_states[s->state]);
    json_text(w, "status", s->view.status);
    json_text(w, "why", s->view.why);
    json_flag(w, "backup", s->backup);
    json_number(w, "weight", s->weight);
    json_number(w, "active", s->active);
    json_limit(w, "max_connections", s->max_connections);
    json_limit(w, "sessions_limit", s->max_connections);
    json_number(w, "connections", s->connections);
    json_number(w, "connect_failures", s->failures);
    json_number(w, "received", s->received);
    json_number(w, "sent", s->sent);
    put_check(w, &s->check);
    json_end_object(w);
}

static void begin_pool(struct json_writer *w, const struct snapshot_pool *p)
{
    json_begin_object(w, NULL);
    json_text(w, "name", p->name);
    json_text(w, "pool", p->name);
    json_text(w, "balance", p->balance);
    json_text(w, "file", p->file);
    json_text(w, "fallback", p->fallback);
    json_number(w, "sessions", p->sums.sessions);
    json_number(w, "active", p->sums.sessions);
    json_number(w, "queued", p->sums.waiting);
    json_number(w, "failures", p->sums.failures);
    json_number(w, "usable", p->sums.usable);
    json_text(w, "severity", severity_name(p->severity));
    json_begin_array(w, "servers");
}

/* So many servers, or the rest of a pool. */
static void put_servers(struct json_writer *w, struct stats_json *j)
{
    const struct snapshot_pool *p = &j->s->pool[j->item];
    size_t stop = j->server + PIECE < p->server_count ? j->server + PIECE : p->server_count;
    if (j->server == 0)
        begin_pool(w, p);
    while (j->server < stop)
        put_server(w, &p->server[j->server++]);
    if (j->server < p->server_count)
        return;
    json_end_array(w);
    json_end_object(w);
    j->server = 0;
    j->item++;
}

/* ---- problems ---- */

static void put_logs(struct json_writer *w)
{
    json_begin_object(w, "log_dropped");
    for (int i = 0; i < LOG_NAMES; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        if (state.is_open)
            json_number(w, log_name((enum log_name)i), state.dropped);
    }
    json_end_object(w);
}

static void put_problems(struct json_writer *w, const struct problem_list *list)
{
    json_begin_array(w, "problems");
    for (size_t i = 0; i < list->count; i++) {
        json_begin_object(w, NULL);
        json_text(w, "severity", severity_name(list->problem[i].severity));
        json_text(w, "subject", list->problem[i].subject);
        json_text(w, "problem", list->problem[i].text);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- sessions, history ---- */

static void put_session(struct json_writer *w, const struct census_row *r)
{
    const struct session_brief *b = &r->brief;
    const char *server = b->server.text[0] == '\0' ? NULL : b->server.text;
    char client[ADDR_TEXT_MAX];
    json_begin_object(w, NULL);
    json_number(w, "id", b->id);
    json_text(w, "client", addr_peer_print(&b->client, client));
    json_text(w, "listener", b->listener.text);
    json_text(w, "pool", b->pool.text);
    json_text(w, "server", server);
    json_text(w, "server_name", server);
    json_text(w, "state", session_state_name((enum session_state)b->state));
    json_number(w, "age_ms", b->age);
    json_number(w, "idle_ms", b->idle);
    json_number(w, "up", b->up);
    json_number(w, "down", b->down);
    json_number(w, "bytes_per_second", r->rate);
    json_number(w, "rate_per_second", r->rate);
    json_end_object(w);
}

#define PUT_POINTS(name, field)                                  \
    do {                                                         \
        json_begin_array(w, name);                               \
        for (uint64_t i = first; i < end; i++)                   \
            json_real(w, NULL, (double)history_at(p, i)->field); \
        json_end_array(w);                                       \
    } while (0)

static void put_past(struct json_writer *w, const struct history_pool *p, uint64_t first,
                     uint64_t end)
{
    json_begin_object(w, NULL);
    json_text(w, "name", p->name);
    json_text(w, "pool", p->name);
    PUT_POINTS("up", up);
    PUT_POINTS("down", down);
    PUT_POINTS("sessions", sessions);
    PUT_POINTS("connections", connections);
    PUT_POINTS("failures", failures);
    json_end_object(w);
}

/* ---- piece by piece ---- */

static void put_process(struct json_writer *w, const struct snapshot *s)
{
    json_text(w, "version", PACKAGE_VERSION);
    json_text(w, "host", s->host);
    json_number(w, "time_ms", s->time);
    json_number(w, "began_ms", s->began);
    json_number(w, "uptime_ms", s->uptime);
    json_text(w, "health", snapshot_health_name(s->health));
    put_problems(w, &s->problems);
    json_number(w, "generation", s->generation);
    json_number(w, "reloads", s->reloads);
    json_number(w, "failed_reloads", s->failed_reloads);
    put_logs(w);
    json_number(w, "sessions", s->sessions);
    json_number(w, "max_sessions", s->max_sessions);
    json_number(w, "sessions_limit", s->max_sessions);
    put_paused(w, s->paused);
    json_number(w, "max_pipes", s->max_pipes);
    put_totals(w, &s->totals);
    put_workers(w, s);
}

static bool put_head(struct stats_json *j, struct json_writer *w)
{
    json_begin_object(w, NULL);
    put_process(w, j->s);
    json_begin_array(w, "listeners");
    return false;
}

static bool put_listeners(struct stats_json *j, struct json_writer *w)
{
    if (j->item < j->s->listener_count)
        put_listener(w, &j->s->listener[j->item++]);
    if (j->item < j->s->listener_count)
        return true;
    json_end_array(w);
    json_begin_array(w, "pools");
    return false;
}

static bool put_pools(struct stats_json *j, struct json_writer *w)
{
    if (j->item < j->s->pool_count)
        put_servers(w, j);
    if (j->item < j->s->pool_count)
        return true;
    json_end_array(w);
    return false;
}

static bool put_busiest(struct stats_json *j, struct json_writer *w)
{
    const struct history *h = j->history;
    json_begin_array(w, "busiest");
    for (size_t i = 0; i < j->busiest->count; i++)
        put_session(w, &j->busiest->row[i]);
    json_end_array(w);
    json_begin_object(w, "history");
    json_number(w, "step_ms", HISTORY_STEP);
    json_number(w, "first", history_first(h, j->since));
    json_number(w, "end", h->steps);
    json_begin_array(w, "pools");
    j->past = TAILQ_FIRST(&h->pools);
    return false;
}

static bool put_history(struct stats_json *j, struct json_writer *w)
{
    if (j->past != NULL) {
        put_past(w, j->past, history_first(j->history, j->since), j->history->steps);
        j->past = TAILQ_NEXT(j->past, in_history);
    }
    if (j->past != NULL)
        return true;
    json_end_array(w);
    json_end_object(w);
    json_end_object(w);
    fputc('\n', w->out);
    return false;
}

bool stats_json_next(struct stats_json *j, FILE *out)
{
    static bool (*const parts[])(struct stats_json * j, struct json_writer * w) = {
        put_head, put_listeners, put_pools, put_busiest, put_history,
    };
    j->writer.out = out;
    if (parts[j->part](j, &j->writer))
        return true;
    j->item = 0;
    return ++j->part < sizeof parts / sizeof parts[0];
}
