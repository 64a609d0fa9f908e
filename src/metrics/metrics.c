#include "metrics/metrics.h"

#include <inttypes.h>
#include <uv.h>

#include "base/log.h"
#include "build.h"
#include "metrics/prometheus.h"
#include "relay/relay_stock.h"
#include "session/session_end.h"

#define MS_PER_S 1e3
#define US_PER_S 1e6
#define NS_PER_S 1e9

#define PIECE 64 /* listeners, servers, ... in one call of metrics_next() */

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* ---- families ---- */

/* What a metric has one sample, or several, for each of. */
enum scope {
    SCOPE_PROCESS,
    SCOPE_LISTENERS,
    SCOPE_ENDED, /* pairs of a listener and a pool */
    SCOPE_POOLS,
    SCOPE_SERVERS,
    SCOPE_WORKERS,
};

struct family;
/* Writes the samples of item i of the family's scope. */
typedef void samples_fn(const struct metrics *m, const struct family *f, size_t i, FILE *out);

struct family {
    const char *name;
    const char *type;
    const char *help;
    enum scope scope;
    unsigned index; /* enum server_counter or session_histogram, for put_server_counter and
                       metrics_put_histogram */
    samples_fn *samples;
    uint64_t (*value)(const struct metrics *m, size_t i); /* for put_process, put_listener ... */
    bool (*known)(const struct metrics *m);               /* NULL: always */
};

#define VALUE(name, expression)                                     \
    static uint64_t value_##name(const struct metrics *m, size_t i) \
    {                                                               \
        (void)i;                                                    \
        return (uint64_t)(expression);                              \
    }

static void put_process(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    prometheus_labels(out, f->name, NULL);
    prometheus_value(out, f->value(m, i));
}

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

/* ---- relaying ---- */

static void put_relay(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    static const char *const paths[RELAY_PATHS] = {
        [RELAY_SPLICE] = "splice", [RELAY_COPY] = "copy", [RELAY_FILE] = "file"
    };
    static const char *const directions[RELAY_DIRECTIONS] = {
        [RELAY_UP] = "up", [RELAY_DOWN] = "down"
    };
    (void)i;
    for (int p = 0; p < RELAY_PATHS; p++)
        for (int d = 0; d < RELAY_DIRECTIONS; d++) {
            if (p == RELAY_FILE && d == RELAY_UP)
                continue;
            prometheus_labels(out, f->name,
                              PROMETHEUS_LABELS({ "path", paths[p] },
                                                { "direction", directions[d] }));
            prometheus_value(out, m->s->totals.bytes[p][d]);
        }
}

static void put_fallbacks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    for (int why = 0; why < RELAY_FALLBACKS; why++) {
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS(
                              { "reason", relay_fallback_name((enum relay_fallback)why) }));
        prometheus_value(out, m->s->totals.fallbacks[why]);
    }
}

static struct worker_stats sum_pipes(const struct metrics *m)
{
    struct worker_stats sum = { .pipe_bytes = 0 };
    for (size_t i = 0; i < m->s->worker_count; i++) {
        sum.pipes_idle += m->s->worker[i].pipes_idle;
        sum.pipes_used += m->s->worker[i].pipes_used;
        sum.pipe_bytes += m->s->worker[i].pipe_bytes;
    }
    return sum;
}

/* Two samples that differ in one label. */
static void put_pair(const struct family *f, const char *label, const char *const values[2],
                     const uint64_t numbers[2], FILE *out)
{
    for (int i = 0; i < 2; i++) {
        prometheus_labels(out, f->name, PROMETHEUS_LABELS({ label, values[i] }));
        prometheus_value(out, numbers[i]);
    }
}

static void metrics_put_pipes(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    static const char *const states[] = { "idle", "used" };
    const struct worker_stats sum = sum_pipes(m);
    (void)i;
    put_pair(f, "state", states, (uint64_t[]){ sum.pipes_idle, sum.pipes_used }, out);
}

/* ---- workers ---- */

VALUE(worker_sessions, m->s->worker[i].sessions)
VALUE(worker_hangs, m->s->worker_hangs[i] != 0)

static void put_worker_label(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    char number[16];
    snprintf(number, sizeof number, "%u", m->s->worker[i].index);
    prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "worker", number }));
}

static void put_worker(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    put_worker_label(m, f, i, out);
    prometheus_value(out, f->value(m, i));
}

static void put_worker_time(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    put_worker_label(m, f, i, out);
    fprintf(out, " %.6f\n", (double)m->s->worker[i].cpu / NS_PER_S);
}

/* ---- the process ---- */

VALUE(pipe_bytes, sum_pipes(m).pipe_bytes)
VALUE(workers, m->s->workers)
VALUE(process_sessions, m->s->sessions)
VALUE(process_sessions_limit, m->s->max_sessions)
VALUE(process_health, m->s->health == HEALTHZ_OK)
VALUE(config_generation, m->s->generation)

static void put_reloads(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    static const char *const results[] = { "success", "failure" };
    (void)i;
    put_pair(f, "result", results, (uint64_t[]){ m->s->reloads, m->s->failed_reloads }, out);
}

static void put_log(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)m;
    (void)i;
    for (int log = 0; log < LOG_NAME_COUNT; log++) {
        struct log_state state;
        log_state((enum log_name)log, &state);
        if (!state.is_open)
            continue;
        prometheus_labels(out, f->name, PROMETHEUS_LABELS({ "log", log_name((enum log_name)log) }));
        prometheus_value(out, state.dropped);
    }
}

static void put_build(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)m;
    (void)i;
    prometheus_labels(out, f->name,
                      PROMETHEUS_LABELS({ "version", PACKAGE_VERSION }, { "node", m->s->node },
                                        { "libuv", uv_version_string() },
                                        { "splice", relay_stock_can_splice() ? "yes" : "no" }));
    prometheus_value(out, 1);
}

static void put_cpu(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    fprintf(out, "%s %.6f\n", f->name, m->process.cpu);
}

static void put_start(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    fprintf(out, "%s %.2f\n", f->name, m->process.start_time);
}

static bool knows_start(const struct metrics *m)
{
    return m->process.start_time > 0;
}

#define SIZE(field)                                    \
    VALUE(field, m->process.field)                     \
    static bool knows_##field(const struct metrics *m) \
    {                                                  \
        return m->process.field != PROCESS_UNKNOWN;    \
    }
SIZE(virtual_size)
SIZE(resident)
SIZE(open_fds)
SIZE(max_fds)

/* ---- the table ---- */

/* A metric is one row; scrapers see them in this order. */
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
    { "zproxy_relay_bytes_total", "counter",
      "Bytes relayed: up to servers, down to clients; spliced, copied, or sent from a "
      "file.",
      SCOPE_PROCESS, .samples = put_relay },
    { "zproxy_relay_fallbacks_total", "counter",
      "How often bytes were copied instead of spliced: the kernel refused to splice "
      "(refused), or no pipe was left (no_pipe).",
      SCOPE_PROCESS, .samples = put_fallbacks },
    { "zproxy_pipes", "gauge", "Pipes of all workers: idle in stock, or used for bytes in flight.",
      SCOPE_PROCESS, .samples = metrics_put_pipes },
    { "zproxy_pipe_bytes", "gauge", "Bytes that all these pipes together can hold.", SCOPE_PROCESS,
      .samples = put_process, .value = value_pipe_bytes },
    { "zproxy_workers", "gauge", "Workers that accept new sessions; each is one thread.",
      SCOPE_PROCESS, .samples = put_process, .value = value_workers },
    { "zproxy_worker_sessions", "gauge", "Current sessions of the worker.", SCOPE_WORKERS,
      .samples = put_worker, .value = value_worker_sessions },
    { "zproxy_worker_hangs", "gauge",
      "1 while the worker has not answered for some seconds: its sessions stand "
      "still.",
      SCOPE_WORKERS, .samples = put_worker, .value = value_worker_hangs },
    { "zproxy_worker_loop_seconds_total", "counter",
      "CPU time of the worker's thread; a rate of 1 is one full CPU.", SCOPE_WORKERS,
      .samples = put_worker_time },
    { "zproxy_process_sessions", "gauge", "Current sessions of all listeners.", SCOPE_PROCESS,
      .samples = put_process, .value = value_process_sessions },
    { "zproxy_process_sessions_limit", "gauge",
      "Most sessions that the process may have: max_connections in [global], or as "
      "many as its descriptors allow. At the limit new clients wait in the kernel's "
      "queue.",
      SCOPE_PROCESS, .samples = put_process, .value = value_process_sessions_limit },
    { "zproxy_process_health", "gauge", "1: /healthz answers with status 200. 0: with 503.",
      SCOPE_PROCESS, .samples = put_process, .value = value_process_health },
    { "zproxy_config_reloads_total", "counter",
      "Reloads by result; after a failed reload the former configuration stays in "
      "force.",
      SCOPE_PROCESS, .samples = put_reloads },
    { "zproxy_config_generation", "gauge",
      "Number of the configuration in force: 1 at the start, one more with each "
      "successful reload.",
      SCOPE_PROCESS, .samples = put_process, .value = value_config_generation },
    { "zproxy_log_dropped_total", "counter",
      "Log lines that were dropped: the target was full, refused them or took too "
      "long.",
      SCOPE_PROCESS, .samples = put_log },
    { "zproxy_build_info", "gauge", "Always 1; the labels describe the running program.",
      SCOPE_PROCESS, .samples = put_build },
    { "process_cpu_seconds_total", "counter", "CPU time of all threads.", SCOPE_PROCESS,
      .samples = put_cpu },
    { "process_start_time_seconds", "gauge", "Start time, in seconds since the epoch.",
      SCOPE_PROCESS, .samples = put_start, .known = knows_start },
    { "process_virtual_memory_bytes", "gauge", "Size of the address space.", SCOPE_PROCESS,
      .samples = put_process, .value = value_virtual_size, .known = knows_virtual_size },
    { "process_resident_memory_bytes", "gauge", "Resident memory.", SCOPE_PROCESS,
      .samples = put_process, .value = value_resident, .known = knows_resident },
    { "process_open_fds", "gauge", "Open descriptors.", SCOPE_PROCESS, .samples = put_process,
      .value = value_open_fds, .known = knows_open_fds },
    { "process_max_fds", "gauge", "Most descriptors that may be open.", SCOPE_PROCESS,
      .samples = put_process, .value = value_max_fds, .known = knows_max_fds },
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

bool metrics_next(struct metrics *m, FILE *out)
{
    const struct family *f = &families[m->family];
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
    return ++m->family < LENGTH(families);
}
