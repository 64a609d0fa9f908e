#include "metrics/metrics.h"

#include <inttypes.h>

#include "metrics/metrics_internal.h"
#include "metrics/prometheus.h"
#include "session/session_end.h"

#define MS_PER_S 1e3
#define US_PER_S 1e6

#define PIECE 64 /* listeners, servers, ... in one call of metrics_next() */

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* ---- listeners ---- */

VALUE(listener_connections, m->s->listener[i].connections)
VALUE(listener_active, m->s->listener[i].active)
VALUE(listener_health, m->s->listener[i].health == HEALTHZ_OK)
VALUE(listener_health_set,
      m->s->health_override != HEALTH_AUTO || m->s->listener[i].health_override != HEALTH_AUTO)

static void put_listener(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "listener", m->s->listener[i].name }));
    prometheus_value(out, f->value(m, i));
}

static void put_listener_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "listener", m->s->listener[i].name }));
    prometheus_limit(out, m->s->listener[i].max_connections);
}

/* One sample for each reason, so that a graph of a reason ends when the pause does. */
static void metrics_put_paused(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = ACCEPT_OPEN + 1; why < ACCEPT_REASONS; why++) {
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "listener", l->name },
                                            { "reason",
                                              accept_reason_name((enum accept_reason)why) }));
        prometheus_value(out, (int)l->paused == why);
    }
}

static void metrics_put_refused(const struct metrics *m, const struct family *f, size_t i,
                                FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = 0; why < SESSION_ENDS; why++) {
        if (!session_end_is_refusal((enum session_end)why))
            continue;
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "listener", l->name },
                                            { "reason", session_end_name((enum session_end)why) }));
        prometheus_value(out, l->refused[why]);
    }
}

/* A handshake that failed has no version. */
static bool has_version(enum tls_handshake_result result)
{
    return result == TLS_HANDSHAKE_FULL || result == TLS_HANDSHAKE_RESUMED;
}

static void put_handshakes_of(const struct snapshot_listener *l, const struct family *f,
                              enum tls_handshake_result result, FILE *out)
{
    for (enum tls_handshake_version v = 0; v < TLS_HANDSHAKE_VERSIONS; v++) {
        if (has_version(result) != (v != TLS_HANDSHAKE_UNKNOWN))
            continue;
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "listener", l->name },
                                            { "version", tls_handshake_version_name(v) },
                                            { "result", tls_handshake_result_name(result) }));
        prometheus_value(out, l->handshakes[tls_handshake_index(result, v)]);
    }
}

static void put_handshakes(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (enum tls_handshake_result r = 0; l->tls && r < TLS_HANDSHAKE_RESULTS; r++)
        put_handshakes_of(l, f, r, out);
}

static void put_expiry(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (const struct snapshot_certificate *c = l->certificate;
         c < l->certificate + l->certificate_count; c++) {
        if (c->hidden)
            continue; /* two samples must not have the same labels */
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "listener", l->name }, { "name", c->name },
                                            { "type", c->type }));
        prometheus_value(out, (uint64_t)c->not_after);
    }
}

/* ---- pools ---- */

VALUE(pool_queued, m->s->pool[i].sums.waiting)
VALUE(pool_paused, m->s->pool[i].paused)
VALUE(pool_rebalance, m->s->pool[i].rebalance.to_close)

static void put_pool(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "pool", m->s->pool[i].name }));
    prometheus_value(out, f->value(m, i));
}

static void metrics_put_usable(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    if (p->file != NULL)
        return;
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "pool", p->name }));
    prometheus_value(out, p->sums.usable);
}

static void put_pool_expiry(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    if (p->certificate_name == NULL)
        return;
    prometheus_labels(out, f->name,
                      PROMETHEUS_LABELS({ "pool", p->name }, { "name", p->certificate_name },
                                        { "type", p->certificate_type }));
    prometheus_value(out, (uint64_t)p->certificate_not_after);
}

static void put_table(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    if (p->file != NULL)
        return;
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "pool", p->name }, { "table", p->table }));
    prometheus_value(out, 1);
}

static void put_problem(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    for (int severity = SEVERITY_WARNING; severity <= SEVERITY_CRITICAL; severity++) {
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "pool", p->name },
                                            { "severity",
                                              severity_name((enum severity)severity) }));
        prometheus_value(out, (int)p->severity == severity);
    }
}

/* ---- servers ---- */

VALUE(server_up, m->s->server[i].up)
VALUE(server_weight, m->s->server[i].weight)
VALUE(server_active, m->s->server[i].active)

/* The labels that tell one server from all others, and one more unless label is NULL. */
static void put_server_labels(const struct metrics *m, const struct family *f, size_t i,
                              const char *label, const char *value, FILE *out)
{
    const struct snapshot_server *s = &m->s->server[i];
    prometheus_labels(out, f->name,
                      PROMETHEUS_LABELS({ "pool", s->pool }, { "server", s->name },
                                        { "address", s->address }, { label, value }));
}

static void put_server(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    put_server_labels(m, f, i, NULL, NULL, out);
    prometheus_value(out, f->value(m, i));
}

static void put_server_counter(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    put_server_labels(m, f, i, NULL, NULL, out);
    prometheus_value(out, m->s->server[i].counter[f->index]);
}

static void put_server_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    put_server_labels(m, f, i, NULL, NULL, out);
    prometheus_limit(out, m->s->server[i].max_connections);
}

static void put_state(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    for (int state = 0; config_state_words[state] != NULL; state++) {
        put_server_labels(m, f, i, "state", config_state_words[state], out);
        prometheus_value(out, (int)m->s->server[i].state == state);
    }
}

static void put_checks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has_result)
        return;
    put_server_labels(m, f, i, "result", "passed", out);
    prometheus_value(out, c->passes);
    put_server_labels(m, f, i, "result", "failed", out);
    prometheus_value(out, c->failures);
}

static void put_server_handshakes(const struct metrics *m, const struct family *f, size_t i,
                                  FILE *out)
{
    const struct snapshot_server *s = &m->s->server[i];
    for (int k = SERVER_TLS_FULL; s->tls && k < SERVER_COUNTERS; k++) {
        put_server_labels(m, f, i, "result", server_handshake_name((enum server_counter)k), out);
        prometheus_value(out, s->counter[k]);
    }
}

static void metrics_put_connect_time(const struct metrics *m, const struct family *f, size_t i,
                                     FILE *out)
{
    uint64_t us = m->s->server[i].connect_time;
    if (us == 0)
        return;
    put_server_labels(m, f, i, NULL, NULL, out);
    fprintf(out, " %.6f\n", (double)us / US_PER_S);
}

static void put_last_check(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has_result)
        return;
    put_server_labels(m, f, i, NULL, NULL, out);
    fprintf(out, " %.3f\n", (double)c->duration / MS_PER_S);
}

/* ---- sessions ---- */

/* All histograms are of ms, except that of bytes. */
static void metrics_put_histogram(const struct metrics *m, const struct family *f, size_t i,
                                  FILE *out)
{
    (void)i;
    prometheus_histogram(f->name, &m->s->totals.histogram[f->index],
                         &session_histogram_scales[f->index],
                         f->index == SESSION_BYTES ? 1 : MS_PER_S, out);
}

static void put_ended(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_ended *e = &m->s->ended[i];
    for (int why = SESSION_END_NONE + 1; why < SESSION_ENDS; why++) {
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS({ "listener", e->listener }, { "pool", e->pool },
                                            { "reason", session_end_name((enum session_end)why) }));
        prometheus_value(out, e->ended[why]);
    }
}

/* ---- the table ---- */

/* A metric is one row; scrapers see them in this order, and then those of metrics_process.c. */
static const struct family families[] = {
    { "zproxy_listener_connections_total", "counter",
      "Clients accepted, including those that were refused afterwards.", SCOPE_LISTENERS,
      .samples = put_listener, .value = value_listener_connections },
    { "zproxy_listener_active", "gauge", "Current sessions of the listener.", SCOPE_LISTENERS,
      .samples = put_listener, .value = value_listener_active },
    { "zproxy_listener_sessions_limit", "gauge",
      "Most sessions that the listener may have, max_connections in [listen]; +Inf: "
      "no limit of its own. At the limit new clients wait in the kernel's queue.",
      SCOPE_LISTENERS, .samples = put_listener_limit },
    { "zproxy_health", "gauge", "1: /healthz/LISTENER answers with status 200. 0: with 503.",
      SCOPE_LISTENERS, .samples = put_listener, .value = value_listener_health },
    { "zproxy_health_set", "gauge",
      "1: the health of the listener was set by zproxyctl, for it or for the process.",
      SCOPE_LISTENERS, .samples = put_listener, .value = value_listener_health_set },
    { "zproxy_accept_paused", "gauge",
      "1 while the listener does not accept and new clients wait in the kernel's "
      "queue: a limit is reached, or descriptors or memory are exhausted. It stays 1 "
      "until the listener has accepted for a second.",
      SCOPE_LISTENERS, .samples = metrics_put_paused },
    { "zproxy_listener_refused_total", "counter",
      "Clients whose connection was closed before anything was relayed; reason as in "
      "the access log (end=).",
      SCOPE_LISTENERS, .samples = metrics_put_refused },
    { "zproxy_tls_handshakes_total", "counter",
      "TLS handshakes with clients: full, resumed (by a ticket), failed, or timeout. A handshake "
      "that was not completed has no version.",
      SCOPE_LISTENERS, .samples = put_handshakes },
    { "zproxy_certificate_expiry_seconds", "gauge",
      "Unix time at which the certificate expires, by its first name and type of key.",
      SCOPE_LISTENERS, .samples = put_expiry },
    { "zproxy_server_up", "gauge",
      "0 while health checks fail or failed connects have taken the server out; 1 "
      "otherwise, also in maintenance (see zproxy_server_state).",
      SCOPE_SERVERS, .samples = put_server, .value = value_server_up },
    { "zproxy_server_weight", "gauge",
      "Weight of the server, 1 to 256; a larger weight gets more sessions.", SCOPE_SERVERS,
      .samples = put_server, .value = value_server_weight },
    { "zproxy_server_active", "gauge",
      "Current sessions on the server, including those that are connecting.", SCOPE_SERVERS,
      .samples = put_server, .value = value_server_active },
    { "zproxy_server_connections_total", "counter", "Sessions that connected to the server.",
      SCOPE_SERVERS, .samples = put_server_counter, .index = SERVER_CONNECTIONS },
    { "zproxy_server_connect_failures_total", "counter",
      "Connects to the server that were refused, timed out or failed otherwise.", SCOPE_SERVERS,
      .samples = put_server_counter, .index = SERVER_FAILURES },
    { "zproxy_server_connect_seconds", "gauge",
      "Average time to connect to the server, failed connects included; only with balance = "
      "least_time, and after the first connect.",
      SCOPE_SERVERS, .samples = metrics_put_connect_time },
    { "zproxy_server_tls_handshakes_total", "counter",
      "TLS handshakes of sessions with the server: full, resumed (an earlier TLS session), "
      "failed, or timeout; a handshake that was not completed is a connect failure "
      "too. No sample without tls = yes in the pool.",
      SCOPE_SERVERS, .samples = put_server_handshakes },
    { "zproxy_server_received_bytes_total", "counter",
      "Bytes from the server to clients, including those of current sessions.", SCOPE_SERVERS,
      .samples = put_server_counter, .index = SERVER_RECEIVED },
    { "zproxy_server_sent_bytes_total", "counter",
      "Bytes from clients to the server, including those of current sessions.", SCOPE_SERVERS,
      .samples = put_server_counter, .index = SERVER_SENT },
    { "zproxy_server_sessions_limit", "gauge",
      "Most sessions that the server may have, max_connections of its line; +Inf: no "
      "limit. At the limit sessions go to other servers or wait in the queue.",
      SCOPE_SERVERS, .samples = put_server_limit },
    { "zproxy_server_state", "gauge",
      "1 for the state set by the user: ready, drain (no new sessions) or maint (no "
      "new sessions and no checks); 0 for the other states.",
      SCOPE_SERVERS, .samples = put_state },
    { "zproxy_pool_usable_servers", "gauge",
      "Servers of the pool that can get new sessions. A pool that answers with a file "
      "has no sample.",
      SCOPE_POOLS, .samples = metrics_put_usable },
    { "zproxy_pool_certificate_expiry_seconds", "gauge",
      "Unix time at which the client certificate of the pool expires, by its first name and type "
      "of key; no sample without one.",
      SCOPE_POOLS, .samples = put_pool_expiry },
    { "zproxy_pool_table_info", "gauge",
      "1. The label table is a fingerprint of which client goes to which server, equal "
      "on machines whose pools agree, and independent of health checks.",
      SCOPE_POOLS, .samples = put_table },
    { "zproxy_pool_problem", "gauge",
      "1 for the present severity, 0 for the other. critical: clients are not served. "
      "warning: servers are down while other servers or a fallback serve, or all "
      "servers are in maintenance.",
      SCOPE_POOLS, .samples = put_problem },
    { "zproxy_pool_rebalance_sessions", "gauge",
      "Sessions that a running rebalance of the pool has still to close; 0 if none is running.",
      SCOPE_POOLS, .samples = put_pool, .value = value_pool_rebalance },
    { "zproxy_pool_queued", "gauge", "Sessions that wait in the queue of the pool for a server.",
      SCOPE_POOLS, .samples = put_pool, .value = value_pool_queued },
    { "zproxy_pool_paused", "gauge",
      "1: zproxyctl has paused the pool, and new sessions wait until it is resumed.", SCOPE_POOLS,
      .samples = put_pool, .value = value_pool_paused },
    { "zproxy_server_queued", "gauge",
      "Former name of zproxy_pool_queued; the next release drops it.", SCOPE_POOLS,
      .samples = put_pool, .value = value_pool_queued },
    { "zproxy_server_checks_total", "counter",
      "Health checks of the server by result; no sample without checks.", SCOPE_SERVERS,
      .samples = put_checks },
    { "zproxy_server_last_check_seconds", "gauge", "Duration of the server's last health check.",
      SCOPE_SERVERS, .samples = put_last_check },
    { "zproxy_session_connect_seconds", "histogram",
      "Time from accept until a server was connected, of sessions that reached one.", SCOPE_PROCESS,
      .samples = metrics_put_histogram, .index = SESSION_CONNECT_TIME },
    { "zproxy_preread_seconds", "histogram",
      "Time from accept until the PROXY header and the TLS hello were complete, of "
      "sessions whose listener reads one of them.",
      SCOPE_PROCESS, .samples = metrics_put_histogram, .index = SESSION_PREREAD_TIME },
    { "zproxy_tls_handshake_seconds", "histogram",
      "Duration of TLS handshakes with clients, from the complete hello, of those that were "
      "completed.",
      SCOPE_PROCESS, .samples = metrics_put_histogram, .index = SESSION_HANDSHAKE_TIME },
    { "zproxy_server_tls_handshake_seconds", "histogram",
      "Duration of TLS handshakes of sessions with servers, of those that were completed.",
      SCOPE_PROCESS, .samples = metrics_put_histogram, .index = SESSION_SERVER_HANDSHAKE_TIME },
    { "zproxy_queue_seconds", "histogram",
      "Time that sessions waited in the queue of a pool, of those that had to wait, "
      "with or without success.",
      SCOPE_PROCESS, .samples = metrics_put_histogram, .index = SESSION_QUEUE_TIME },
    { "zproxy_session_duration_seconds", "histogram",
      "Duration of ended sessions, from accept to close.", SCOPE_PROCESS,
      .samples = metrics_put_histogram, .index = SESSION_DURATION },
    { "zproxy_session_bytes", "histogram",
      "Bytes relayed by ended sessions, both directions together.", SCOPE_PROCESS,
      .samples = metrics_put_histogram, .index = SESSION_BYTES },
    { "zproxy_sessions_ended_total", "counter",
      "Ended sessions, including refused clients, by their last pool and by reason, "
      "as in the access log (end=).",
      SCOPE_ENDED, .samples = put_ended },
};

static size_t count_of(const struct metrics *m, const struct family *f)
{
    if (f->known != NULL && !f->known(m))
        return 0;
    switch (f->scope) {
    case SCOPE_PROCESS:
        break;
    case SCOPE_LISTENERS:
        return m->s->listener_count;
    case SCOPE_ENDED:
        return m->s->ended_count;
    case SCOPE_POOLS:
        return m->s->pool_count;
    case SCOPE_SERVERS:
        return m->s->server_count;
    case SCOPE_WORKERS:
        return m->s->worker_count;
    }
    return 1;
}

static const struct family *family_at(size_t i)
{
    return i < LENGTH(families) ? &families[i] : metrics_process_family(i - LENGTH(families));
}

bool metrics_next(struct metrics *m, FILE *out)
{
    const struct family *f = family_at(m->family);
    size_t count = count_of(m, f);
    size_t stop = m->item + PIECE < count ? m->item + PIECE : count;
    bool known = f->known == NULL || f->known(m);
    if (m->item == 0 && known)
        fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", f->name, f->help, f->name, f->type);
    while (m->item < stop)
        f->samples(m, f, m->item++, out);
    if (m->item < count)
        return true;
    m->item = 0;
    return ++m->family < LENGTH(families) + metrics_process_count();
}
