#include "metrics/stats_json.h"

#include "base/json.h"
#include "base/log.h"
#include "build.h"
#include "relay/relay_stock.h"
#include "session/session_end.h"
#include "session/session_info.h"

#define NS_PER_MS    1000000u
#define LENGTH(list) (sizeof(list) / sizeof(list)[0])
#define PIECE        32 /* servers in one call of stats_json_next() */

/* ---- totals ---- */

static void put_directions(struct json_writer *w, const char *name,
                           const uint64_t bytes[RELAY_DIRECTIONS])
{
    json_begin_object(w, name);
    json_add_uint(w, "up", bytes[RELAY_UP]);
    json_add_uint(w, "down", bytes[RELAY_DOWN]);
    json_end_object(w);
}

static void stats_json_put_histogram(struct json_writer *w, const char *name,
                                     const struct histogram_totals *h,
                                     const struct histogram_scale *scale)
{
    json_begin_object(w, name);
    json_begin_array(w, "bounds");
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++)
        json_add_uint(w, NULL, histogram_bound(scale, i));
    json_end_array(w);
    json_begin_array(w, "counts");
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        json_add_uint(w, NULL, h->bucket[i]);
    json_end_array(w);
    json_add_uint(w, "sum", h->sum);
    json_end_object(w);
}

static const char *const histogram_names[] = {
    [SESSION_CONNECT_TIME] = "connect_ms",
    [SESSION_PREREAD_TIME] = "preread_ms",
    [SESSION_HANDSHAKE_TIME] = "tls_handshake_ms",
    [SESSION_SERVER_HANDSHAKE_TIME] = "server_tls_handshake_ms",
    [SESSION_QUEUE_TIME] = "queue_ms",
    [SESSION_DURATION] = "duration_ms",
    [SESSION_BYTES] = "session_bytes",
};
_Static_assert(LENGTH(histogram_names) == SESSION_HISTOGRAMS, "each histogram has a name");

static void put_totals(struct json_writer *w, const struct worker_totals *t)
{
    json_begin_object(w, "totals");
    json_add_uint(w, "sessions", t->sessions);
    json_begin_object(w, "ended");
    for (int why = SESSION_END_NONE + 1; why < SESSION_ENDS; why++)
        json_add_uint(w, session_end_name((enum session_end)why), t->ends[why]);
    json_end_object(w);
    json_begin_object(w, "bytes");
    put_directions(w, "splice", t->bytes[RELAY_SPLICE]);
    put_directions(w, "copy", t->bytes[RELAY_COPY]);
    put_directions(w, "file", t->bytes[RELAY_FILE]);
    put_directions(w, "tls", t->bytes[RELAY_TLS]);
    json_end_object(w);
    json_begin_object(w, "fallbacks");
    for (int f = 0; f < RELAY_FALLBACKS; f++)
        json_add_uint(w, relay_fallback_name((enum relay_fallback)f), t->fallbacks[f]);
    json_end_object(w);
    json_add_uint(w, "tls_kernel", t->tls_kernel);
    json_begin_object(w, "tls_user");
    for (int why = TLS_USER_NONE + 1; why < TLS_USER_REASONS; why++)
        json_add_uint(w, tls_user_reason_name((enum tls_user_reason)why), t->tls_user[why]);
    json_end_object(w);
    json_add_uint(w, "tls_bad_records", t->bad_records);
    for (int h = 0; h < SESSION_HISTOGRAMS; h++)
        stats_json_put_histogram(w, histogram_names[h], &t->histogram[h],
                                 &session_histogram_scales[h]);
    json_end_object(w);
}

static void stats_json_put_workers(struct json_writer *w, const struct snapshot *s)
{
    json_begin_array(w, "workers");
    for (size_t i = 0; i < s->worker_count; i++) {
        const struct worker_stats *ws = &s->worker[i];
        json_begin_object(w, NULL);
        json_add_uint(w, "worker", ws->index);
        json_add_uint(w, "sessions", ws->sessions);
        json_add_uint(w, "pipes_idle", ws->pipes_idle);
        json_add_uint(w, "pipes_used", ws->pipes_used);
        json_add_uint(w, "pipe_bytes", ws->pipe_bytes);
        json_add_uint(w, "loop_ms", ws->cpu / NS_PER_MS);
        json_add_limit(w, "hangs_ms", s->worker_hangs[i]);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- listeners, pools ---- */

/* null: it accepts. */
static void stats_json_put_paused(struct json_writer *w, enum accept_reason reason)
{
    json_add_string(w, "paused", reason == ACCEPT_OPEN ? NULL : accept_reason_name(reason));
}

static void put_handshakes(struct json_writer *w, const struct snapshot_listener *l)
{
    if (!l->tls)
        return;
    json_begin_object(w, "tls_handshakes");
    for (enum tls_handshake_result r = 0; r < TLS_HANDSHAKE_RESULTS; r++) {
        uint64_t sum = 0;
        for (enum tls_handshake_version v = 0; v < TLS_HANDSHAKE_VERSIONS; v++)
            sum += l->handshakes[tls_handshake_index(r, v)];
        json_add_uint(w, tls_handshake_result_name(r), sum);
    }
    json_end_object(w);
    json_begin_array(w, "certificates");
    for (size_t i = 0; i < l->certificate_count; i++) {
        const struct snapshot_certificate *c = &l->certificate[i];
        json_begin_object(w, NULL);
        json_add_string(w, "names", c->names);
        json_add_string(w, "type", c->type);
        json_add_string(w, "file", c->file);
        json_add_uint(w, "not_before", (uint64_t)c->not_before);
        json_add_uint(w, "not_after", (uint64_t)c->not_after);
        json_end_object(w);
    }
    json_end_array(w);
}

static void stats_json_put_listener(struct json_writer *w, const struct snapshot_listener *l)
{
    json_begin_object(w, NULL);
    json_add_string(w, "name", l->name);
    json_add_string(w, "listener", l->name);
    json_add_string(w, "bind", l->bind);
    json_add_string(w, "pool", l->pool);
    json_add_uint(w, "active", l->active);
    json_add_limit(w, "max_connections", l->max_connections);
    json_add_limit(w, "sessions_limit", l->max_connections);
    stats_json_put_paused(w, l->paused);
    json_add_string(w, "health", healthz_name(l->health));
    json_add_string(w, "health_set", health_override_words[l->health_override]);
    json_add_uint(w, "connections", l->connections);
    put_handshakes(w, l);
    json_begin_object(w, "refused");
    for (int why = 0; why < SESSION_ENDS; why++)
        if (session_end_is_refusal((enum session_end)why))
            json_add_uint(w, session_end_name((enum session_end)why), l->refused[why]);
    json_end_object(w);
    json_end_object(w);
}

static void put_check(struct json_writer *w, const struct snapshot_check *c)
{
    if (!c->has_result) {
        json_add_string(w, "check", NULL);
        return;
    }
    json_begin_object(w, "check");
    json_add_bool(w, "passed", c->passed);
    json_add_string(w, "why", c->why);
    json_add_uint(w, "passes", c->passes);
    json_add_uint(w, "failures", c->failures);
    json_add_uint(w, "duration_ms", c->duration);
    json_add_uint(w, "age_ms", c->age);
    json_end_object(w);
}

static const char *const server_counter_names[] = {
    [SERVER_CONNECTIONS] = "connections",
    [SERVER_FAILURES] = "connect_failures",
    [SERVER_RECEIVED] = "received",
    [SERVER_SENT] = "sent",
};
_Static_assert(LENGTH(server_counter_names) == SERVER_TLS_FULL, "each counter has a name");

static void put_server_handshakes(struct json_writer *w, const struct snapshot_server *s)
{
    if (!s->tls)
        return;
    json_begin_object(w, "tls_handshakes");
    for (int k = SERVER_TLS_FULL; k < SERVER_COUNTERS; k++)
        json_add_uint(w, server_handshake_name((enum server_counter)k), s->counter[k]);
    json_end_object(w);
}

static void stats_json_put_server(struct json_writer *w, const struct snapshot_server *s)
{
    json_begin_object(w, NULL);
    json_add_string(w, "name", s->name);
    json_add_string(w, "pool", s->pool);
    json_add_string(w, "server_name", s->name);
    json_add_string(w, "address", s->address);
    json_add_string(w, "state", config_state_words[s->state]);
    json_add_string(w, "status", s->view.status);
    json_add_string(w, "why", s->view.why);
    json_add_bool(w, "backup", s->backup);
    json_add_uint(w, "weight", s->weight);
    json_add_uint(w, "active", s->active);
    json_add_limit(w, "max_connections", s->max_connections);
    json_add_limit(w, "sessions_limit", s->max_connections);
    for (int k = 0; k < SERVER_TLS_FULL; k++)
        json_add_uint(w, server_counter_names[k], s->counter[k]);
    put_server_handshakes(w, s);
    if (s->connect_time != 0)
        json_add_uint(w, "connect_us", s->connect_time);
    put_check(w, &s->check);
    json_end_object(w);
}

/* null: none is running. */
static void put_rebalance(struct json_writer *w, const struct snapshot_rebalance *b)
{
    if (!b->running) {
        json_add_string(w, "rebalance", NULL);
        return;
    }
    json_begin_object(w, "rebalance");
    json_add_uint(w, "closed", b->closed);
    json_add_uint(w, "left", b->to_close);
    json_add_uint(w, "left_ms", b->left);
    json_end_object(w);
}

static void begin_pool(struct json_writer *w, const struct snapshot_pool *p)
{
    json_begin_object(w, NULL);
    json_add_string(w, "name", p->name);
    json_add_string(w, "pool", p->name);
    json_add_string(w, "balance", p->balance);
    json_add_string(w, "file", p->file);
    json_add_string(w, "fallback", p->fallback);
    json_add_string(w, "table", p->file == NULL ? p->table : NULL);
    json_add_string(w, "table_now", p->file == NULL ? p->table_now : NULL);
    put_rebalance(w, &p->rebalance);
    json_add_uint(w, "sessions", p->sums.sessions);
    json_add_uint(w, "active", p->sums.sessions);
    json_add_uint(w, "queued", p->sums.waiting);
    json_add_bool(w, "paused", p->paused);
    json_add_bool(w, "tls", p->tls);
    if (p->certificate_name != NULL)
        json_add_uint(w, "certificate_not_after", (uint64_t)p->certificate_not_after);
    json_add_uint(w, "failures", p->sums.failures);
    json_add_uint(w, "usable", p->sums.usable);
    json_add_string(w, "severity", severity_name(p->severity));
    json_begin_array(w, "servers");
}

/* Writes up to PIECE servers of a pool; after the last one ends the pool. */
static void stats_json_put_servers(struct json_writer *w, struct stats_json *j)
{
    const struct snapshot_pool *p = &j->s->pool[j->item];
    size_t stop = j->server + PIECE < p->server_count ? j->server + PIECE : p->server_count;
    if (j->server == 0)
        begin_pool(w, p);
    while (j->server < stop)
        stats_json_put_server(w, &p->server[j->server++]);
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
    for (int i = 0; i < LOG_NAME_COUNT; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        if (state.is_open)
            json_add_uint(w, log_name((enum log_name)i), state.dropped);
    }
    json_end_object(w);
}

static void stats_json_put_problems(struct json_writer *w, const struct problem_list *list)
{
    json_begin_array(w, "problems");
    for (size_t i = 0; i < list->count; i++) {
        json_begin_object(w, NULL);
        json_add_string(w, "severity", severity_name(list->problem[i].severity));
        json_add_string(w, "subject", list->problem[i].subject);
        json_add_string(w, "problem", list->problem[i].text);
        json_end_object(w);
    }
    json_end_array(w);
}

/* ---- sessions, history ---- */

static void stats_json_put_session(struct json_writer *w, const struct session_list_row *r)
{
    const struct session_info *b = &r->info;
    const char *server = b->server.text[0] == '\0' ? NULL : b->server.text;
    char client[ADDR_TEXT_MAX];
    json_begin_object(w, NULL);
    json_add_uint(w, "id", b->id);
    json_add_string(w, "client", addr_peer_print(&b->client, client));
    json_add_string(w, "listener", b->listener.text);
    json_add_string(w, "pool", b->pool.text);
    json_add_string(w, "server", server);
    json_add_string(w, "server_name", server);
    json_add_string(w, "state", session_state_name((enum session_state)b->state));
    json_add_uint(w, "age_ms", b->age);
    json_add_uint(w, "idle_ms", b->idle);
    json_add_uint(w, "up", b->up);
    json_add_uint(w, "down", b->down);
    json_add_uint(w, "bytes_per_second", r->rate);
    json_add_uint(w, "rate_per_second", r->rate);
    json_end_object(w);
}

#define PUT_POINTS(name, field)                                        \
    do {                                                               \
        json_begin_array(w, name);                                     \
        for (uint64_t i = first; i < end; i++)                         \
            json_add_double(w, NULL, (double)history_at(p, i)->field); \
        json_end_array(w);                                             \
    } while (0)

static void put_pool_history(struct json_writer *w, const struct history_pool *p, uint64_t first,
                             uint64_t end)
{
    json_begin_object(w, NULL);
    json_add_string(w, "name", p->name);
    json_add_string(w, "pool", p->name);
    PUT_POINTS("up", up);
    PUT_POINTS("down", down);
    PUT_POINTS("sessions", sessions);
    PUT_POINTS("connections", connections);
    PUT_POINTS("failures", failures);
    json_end_object(w);
}

/* ---- piece by piece ---- */

static void stats_json_put_process(struct json_writer *w, const struct snapshot *s)
{
    json_add_string(w, "version", PACKAGE_VERSION);
    json_add_string(w, "node", s->node);
    json_add_string(w, "host", s->host);
    json_add_uint(w, "time_ms", s->time);
    json_add_uint(w, "began_ms", s->began);
    json_add_uint(w, "uptime_ms", s->uptime);
    json_add_string(w, "health", healthz_name(s->health));
    json_add_string(w, "health_set", health_override_words[s->health_override]);
    stats_json_put_problems(w, &s->problems);
    json_add_uint(w, "generation", s->generation);
    json_add_uint(w, "reloads", s->reloads);
    json_add_uint(w, "failed_reloads", s->failed_reloads);
    put_logs(w);
    json_add_uint(w, "sessions", s->sessions);
    json_add_uint(w, "max_sessions", s->max_sessions);
    json_add_uint(w, "sessions_limit", s->max_sessions);
    stats_json_put_paused(w, s->paused);
    json_add_uint(w, "max_pipes", s->max_pipes);
    put_totals(w, &s->totals);
    stats_json_put_workers(w, s);
}

static bool stats_json_put_head(struct stats_json *j, struct json_writer *w)
{
    json_begin_object(w, NULL);
    stats_json_put_process(w, j->s);
    json_begin_array(w, "listeners");
    return false;
}

static bool stats_json_put_listeners(struct stats_json *j, struct json_writer *w)
{
    if (j->item < j->s->listener_count)
        stats_json_put_listener(w, &j->s->listener[j->item++]);
    if (j->item < j->s->listener_count)
        return true;
    json_end_array(w);
    json_begin_array(w, "pools");
    return false;
}

static bool stats_json_put_pools(struct stats_json *j, struct json_writer *w)
{
    if (j->item < j->s->pool_count)
        stats_json_put_servers(w, j);
    if (j->item < j->s->pool_count)
        return true;
    json_end_array(w);
    return false;
}

static bool stats_json_put_busiest(struct stats_json *j, struct json_writer *w)
{
    const struct history *h = j->history;
    json_begin_array(w, "busiest");
    for (size_t i = 0; i < j->busiest->count; i++)
        stats_json_put_session(w, &j->busiest->row[i]);
    json_end_array(w);
    json_begin_object(w, "history");
    json_add_uint(w, "step_ms", HISTORY_STEP);
    json_add_uint(w, "first", history_first(h, j->since));
    json_add_uint(w, "end", h->steps);
    json_begin_array(w, "pools");
    j->next_history = TAILQ_FIRST(&h->pools);
    return false;
}

static bool put_history(struct stats_json *j, struct json_writer *w)
{
    if (j->next_history != NULL) {
        put_pool_history(w, j->next_history, history_first(j->history, j->since),
                         j->history->steps);
        j->next_history = TAILQ_NEXT(j->next_history, in_history);
    }
    if (j->next_history != NULL)
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
        stats_json_put_head, stats_json_put_listeners, stats_json_put_pools, stats_json_put_busiest,
        put_history,
    };
    j->writer.out = out;
    if (parts[j->part](j, &j->writer))
        return true;
    j->item = 0;
    return ++j->part < LENGTH(parts);
}
