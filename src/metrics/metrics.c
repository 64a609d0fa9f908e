#include "metrics/metrics.h"

#include <inttypes.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "base/utf8.h"
#include "build.h"
#include "relay/relay_stock.h"
#include "session/session_end.h"

#define MS_PER_S 1e3
#define NS_PER_S 1e9

#define PIECE 64 /* listeners, servers, ... at a time */

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* ---- labels ---- */

static void metrics_put_escaped(char c, FILE *out)
{
    if (c == '\n')
        fputs("\\n", out);
    else if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else
        fputc(c, out);
}

/* Nearly all names are: they are written as they are. */
static bool is_plain(const char *text)
{
    for (; *text != '\0'; text++)
        if (*text < ' ' || *text > '~' || *text == '"' || *text == '\\')
            return false;
    return true;
}

void metrics_print_label(const char *text, FILE *out)
{
    if (is_plain(text))
        fputs(text, out);
    else
        utf8_print(text, metrics_put_escaped, out);
}

static void put_label(FILE *out, const char *name, const char *value)
{
    fputs(name, out);
    fputs("=\"", out);
    metrics_print_label(value, out);
    fputc('"', out);
}

/* The metric and its first label; the bracket stays open. */
static void metrics_begin(FILE *out, const char *metric, const char *label, const char *value)
{
    fputs(metric, out);
    fputc('{', out);
    put_label(out, label, value);
}

static void metrics_end(FILE *out, uint64_t value)
{
    fprintf(out, "} %" PRIu64 "\n", value);
}

/* 0 stands for no limit. */
static void metrics_end_limit(FILE *out, uint64_t limit)
{
    if (limit == 0)
        fputs("} +Inf\n", out);
    else
        metrics_end(out, limit);
}

/* ---- what there is ---- */

/* Of what a metric has series. */
enum scope {
    SCOPE_PROCESS,
    SCOPE_LISTENERS,
    SCOPE_ENDED, /* listeners and pools */
    SCOPE_POOLS,
    SCOPE_SERVERS,
    SCOPE_WORKERS,
};

struct family;
/* Writes the series of the i-th listener, server, ... */
typedef void series_fn(const struct metrics *m, const struct family *f, size_t i, FILE *out);

struct family {
    const char *name;
    const char *type;
    const char *help;
    enum scope scope;
    series_fn *series;
    uint64_t (*value)(const struct metrics *m, size_t i); /* for put_* that ask for it */
    bool (*known)(const struct metrics *m);               /* NULL: always */
};

#define VALUE(name, expression)                             \
    static uint64_t name(const struct metrics *m, size_t i) \
    {                                                       \
        (void)i;                                            \
        return (uint64_t)(expression);                      \
    }

static void put_number(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    fprintf(out, "%s %" PRIu64 "\n", f->name, f->value(m, i));
}

/* ---- listeners ---- */

VALUE(listener_connections, m->s->listener[i].connections)
VALUE(listener_active, m->s->listener[i].active)

static void metrics_put_listener(const struct metrics *m, const struct family *f, size_t i,
                                 FILE *out)
{
    metrics_begin(out, f->name, "listener", m->s->listener[i].name);
    metrics_end(out, f->value(m, i));
}

static void put_listener_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    metrics_begin(out, f->name, "listener", m->s->listener[i].name);
    metrics_end_limit(out, m->s->listener[i].max_connections);
}

/* One for each reason, so that a graph ends when the pause does. */
static void metrics_put_paused(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = ACCEPT_OPEN + 1; why < ACCEPT_REASONS; why++) {
        metrics_begin(out, f->name, "listener", l->name);
        fprintf(out, ",reason=\"%s\"", accept_reason_name((enum accept_reason)why));
        metrics_end(out, (int)l->paused == why);
    }
}

static void metrics_put_refused(const struct metrics *m, const struct family *f, size_t i,
                                FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = 0; why < SESSION_ENDS; why++) {
        if (!session_end_is_refusal((enum session_end)why))
            continue;
        metrics_begin(out, f->name, "listener", l->name);
        fprintf(out, ",reason=\"%s\"", session_end_name((enum session_end)why));
        metrics_end(out, l->refused[why]);
    }
}

/* ---- pools, servers ---- */

VALUE(value_server_up, m->s->server[i].up)
VALUE(value_server_weight, m->s->server[i].weight)
VALUE(value_server_active, m->s->server[i].active)
VALUE(value_server_connections, m->s->server[i].connections)
VALUE(value_server_failures, m->s->server[i].failures)
VALUE(value_server_received, m->s->server[i].received)
VALUE(value_server_sent, m->s->server[i].sent)

static void put_queued(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    metrics_begin(out, f->name, "pool", m->s->pool[i].name);
    metrics_end(out, m->s->pool[i].sums.waiting);
}

static void metrics_put_usable(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    if (p->file != NULL)
        return;
    metrics_begin(out, f->name, "pool", p->name);
    metrics_end(out, p->sums.usable);
}

static void put_problem(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    for (int severity = SEVERITY_WARNING; severity <= SEVERITY_CRITICAL; severity++) {
        metrics_begin(out, f->name, "pool", p->name);
        fprintf(out, ",severity=\"%s\"", severity_name((enum severity)severity));
        metrics_end(out, (int)p->severity == severity);
    }
}

/* The labels that make a server one of its kind; the bracket stays open. */
static void begin_server(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_server *s = &m->s->server[i];
    metrics_begin(out, f->name, "pool", s->pool);
    fputc(',', out);
    put_label(out, "server", s->name);
    fputc(',', out);
    put_label(out, "address", s->address);
}

static void metrics_put_server(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin_server(m, f, i, out);
    metrics_end(out, f->value(m, i));
}

static void put_server_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin_server(m, f, i, out);
    metrics_end_limit(out, m->s->server[i].max_connections);
}

static void put_state(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    for (int state = 0; config_state_words[state] != NULL; state++) {
        begin_server(m, f, i, out);
        fprintf(out, ",state=\"%s\"", config_state_words[state]);
        metrics_end(out, (int)m->s->server[i].state == state);
    }
}

static void put_checks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has_result)
        return;
    begin_server(m, f, i, out);
    fputs(",result=\"passed\"", out);
    metrics_end(out, c->passes);
    begin_server(m, f, i, out);
    fputs(",result=\"failed\"", out);
    metrics_end(out, c->failures);
}

static void put_last_check(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has_result)
        return;
    begin_server(m, f, i, out);
    fprintf(out, "} %.3f\n", (double)c->duration / MS_PER_S);
}

/* ---- sessions ---- */

void metrics_print_histogram(const char *name, const struct histogram_totals *h,
                             const struct histogram_scale *scale, double per, FILE *out)
{
    uint64_t count = 0;
    for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
        count += h->bucket[i];
        fprintf(out, "%s_bucket{le=\"%.15g\"} %" PRIu64 "\n", name,
                (double)histogram_bound(scale, i) / per, count);
    }
    count += h->bucket[HISTOGRAM_BOUNDS];
    fprintf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.15g\n%s_count %" PRIu64 "\n", name,
            count, name, (double)h->sum / per, name, count);
}

#define HISTOGRAM(function, field, scale, per)                                                 \
    static void function(const struct metrics *m, const struct family *f, size_t i, FILE *out) \
    {                                                                                          \
        (void)i;                                                                               \
        metrics_print_histogram(f->name, &m->s->totals.field, &(scale), per, out);             \
    }
HISTOGRAM(put_connect_time, connect_time, sessions_connect_scale, MS_PER_S)
HISTOGRAM(put_preread_time, preread_time, sessions_connect_scale, MS_PER_S)
HISTOGRAM(put_queue_time, queue_time, sessions_connect_scale, MS_PER_S)
HISTOGRAM(put_duration, duration, sessions_duration_scale, MS_PER_S)
HISTOGRAM(put_bytes, session_bytes, sessions_bytes_scale, 1)

static void put_ended(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_ended *e = &m->s->ended[i];
    for (int why = SESSION_END_NONE + 1; why < SESSION_ENDS; why++) {
        metrics_begin(out, f->name, "listener", e->listener);
        fputc(',', out);
        put_label(out, "pool", e->pool);
        fprintf(out, ",reason=\"%s\"", session_end_name((enum session_end)why));
        metrics_end(out, e->ended[why]);
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
        for (int d = 0; d < RELAY_DIRECTIONS; d++)
            if (p != RELAY_FILE || d != RELAY_UP)
                fprintf(out, "%s{path=\"%s\",direction=\"%s\"} %" PRIu64 "\n", f->name, paths[p],
                        directions[d], m->s->totals.bytes[p][d]);
}

static void put_fallbacks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    for (int why = 0; why < RELAY_FALLBACKS; why++) {
        metrics_begin(out, f->name, "reason", relay_fallback_name((enum relay_fallback)why));
        metrics_end(out, m->s->totals.fallbacks[why]);
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

static void metrics_put_pipes(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct worker_stats sum = sum_pipes(m);
    (void)i;
    fprintf(out, "%s{state=\"idle\"} %" PRIu64 "\n%s{state=\"used\"} %" PRIu64 "\n", f->name,
            sum.pipes_idle, f->name, sum.pipes_used);
}

VALUE(pipe_bytes, sum_pipes(m).pipe_bytes)
VALUE(workers, m->s->workers)

static void put_worker_sessions(const struct metrics *m, const struct family *f, size_t i,
                                FILE *out)
{
    fprintf(out, "%s{worker=\"%u\"} %" PRIu64 "\n", f->name, m->s->worker[i].index,
            m->s->worker[i].sessions);
}

static void put_worker_hangs(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    fprintf(out, "%s{worker=\"%u\"} %d\n", f->name, m->s->worker[i].index,
            m->s->worker_hangs[i] != 0);
}

static void put_worker_time(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    fprintf(out, "%s{worker=\"%u\"} %.6f\n", f->name, m->s->worker[i].index,
            (double)m->s->worker[i].cpu / NS_PER_S);
}

/* ---- the process ---- */

VALUE(process_sessions, m->s->sessions)
VALUE(process_sessions_limit, m->s->max_sessions)
VALUE(config_generation, m->s->generation)

static void put_reloads(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    fprintf(out, "%s{result=\"success\"} %" PRIu64 "\n%s{result=\"failure\"} %" PRIu64 "\n",
            f->name, m->s->reloads, f->name, m->s->failed_reloads);
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
        metrics_begin(out, f->name, "log", log_name((enum log_name)log));
        metrics_end(out, state.dropped);
    }
}

static void put_build(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)m;
    (void)i;
    fprintf(out, "%s{version=\"%s\",libuv=\"%s\",splice=\"%s\"} 1\n", f->name, PACKAGE_VERSION,
            uv_version_string(), relay_stock_can_splice() ? "yes" : "no");
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

/* ---- all of it ---- */

static const struct family families[] = {
    { "zproxy_listener_connections_total", "counter",
      "Clients that were accepted, those that were refused included.", SCOPE_LISTENERS,
      metrics_put_listener, listener_connections, NULL },
    { "zproxy_listener_active", "gauge", "Sessions of the listener now.", SCOPE_LISTENERS,
      metrics_put_listener, listener_active, NULL },
    { "zproxy_listener_sessions_limit", "gauge",
      "Sessions that the listener may have, max_connections in [listen]; +Inf: no limit of "
      "its own. At the limit new clients wait in the kernel's queue.",
      SCOPE_LISTENERS, put_listener_limit, NULL, NULL },
    { "zproxy_accept_paused", "gauge",
      "1 while the listener does not accept, and new clients wait in the kernel's queue: a "
      "limit is reached, or descriptors or memory are lacking. It is 1 until the listener "
      "has accepted for a second.",
      SCOPE_LISTENERS, metrics_put_paused, NULL, NULL },
    { "zproxy_listener_refused_total", "counter",
      "Clients that were sent away before there was anything to relay; reason as in the "
      "access log (end=).",
      SCOPE_LISTENERS, metrics_put_refused, NULL, NULL },
    { "zproxy_server_up", "gauge",
      "0 while checks say that it is down, or failed connects have taken it out; 1 "
      "otherwise, also in maintenance (zproxy_server_state).",
      SCOPE_SERVERS, metrics_put_server, value_server_up, NULL },
    { "zproxy_server_weight", "gauge", "Its weight, 1 to 256; a larger one gets more sessions.",
      SCOPE_SERVERS, metrics_put_server, value_server_weight, NULL },
    { "zproxy_server_active", "gauge", "Sessions on it now, connecting ones included.",
      SCOPE_SERVERS, metrics_put_server, value_server_active, NULL },
    { "zproxy_server_connections_total", "counter", "Sessions that have reached it.", SCOPE_SERVERS,
      metrics_put_server, value_server_connections, NULL },
    { "zproxy_server_connect_failures_total", "counter",
      "Connects to it that were refused, timed out or failed otherwise.", SCOPE_SERVERS,
      metrics_put_server, value_server_failures, NULL },
    { "zproxy_server_received_bytes_total", "counter",
      "Bytes from it to clients, of sessions that go on as well.", SCOPE_SERVERS,
      metrics_put_server, value_server_received, NULL },
    { "zproxy_server_sent_bytes_total", "counter",
      "Bytes from clients to it, of sessions that go on as well.", SCOPE_SERVERS,
      metrics_put_server, value_server_sent, NULL },
    { "zproxy_server_sessions_limit", "gauge",
      "Sessions that the server may have, max_connections of its line; +Inf: no limit. At "
      "the limit sessions go to other servers, or wait.",
      SCOPE_SERVERS, put_server_limit, NULL, NULL },
    { "zproxy_server_state", "gauge",
      "1 for the state that the user has set: ready, drain (no new sessions) or maint (nor "
      "checks); 0 for the others.",
      SCOPE_SERVERS, put_state, NULL, NULL },
    { "zproxy_pool_usable_servers", "gauge",
      "Servers of the pool that new sessions may be sent to. A pool that answers with a file has "
      "none.",
      SCOPE_POOLS, metrics_put_usable, NULL, NULL },
    { "zproxy_pool_problem", "gauge",
      "1 for how bad it is: critical, clients are not served; warning, servers are down while "
      "others, or a fallback, serve, or all are in maintenance.",
      SCOPE_POOLS, put_problem, NULL, NULL },
    { "zproxy_pool_queued", "gauge", "Sessions that wait for a place on a server of the pool now.",
      SCOPE_POOLS, put_queued, NULL, NULL },
    { "zproxy_server_queued", "gauge",
      "The former name of zproxy_pool_queued; it will go with the next release.", SCOPE_POOLS,
      put_queued, NULL, NULL },
    { "zproxy_server_checks_total", "counter",
      "Its health checks that have passed or failed; none without checks.", SCOPE_SERVERS,
      put_checks, NULL, NULL },
    { "zproxy_server_last_check_seconds", "gauge", "How long its last health check took.",
      SCOPE_SERVERS, put_last_check, NULL, NULL },
    { "zproxy_session_connect_seconds", "histogram",
      "From a client's coming to its server's answering, of sessions that reached one.",
      SCOPE_PROCESS, put_connect_time, NULL, NULL },
    { "zproxy_preread_seconds", "histogram",
      "From a client's coming until its PROXY header and TLS hello were there, of sessions whose "
      "listener asks for one.",
      SCOPE_PROCESS, put_preread_time, NULL, NULL },
    { "zproxy_queue_seconds", "histogram",
      "How long sessions waited for a place on a server, of those that had to, whether they got "
      "one or not.",
      SCOPE_PROCESS, put_queue_time, NULL, NULL },
    { "zproxy_session_duration_seconds", "histogram",
      "How long sessions lasted, from accept to close, when they have ended.", SCOPE_PROCESS,
      put_duration, NULL, NULL },
    { "zproxy_session_bytes", "histogram",
      "Bytes of a session, both directions, when it has ended.", SCOPE_PROCESS, put_bytes, NULL,
      NULL },
    { "zproxy_sessions_ended_total", "counter",
      "Sessions, refused clients included, by the pool that they were in at last and why they "
      "ended, as in the access log (end=).",
      SCOPE_ENDED, put_ended, NULL, NULL },
    { "zproxy_relay_bytes_total", "counter",
      "Bytes relayed: up to servers, down to clients; by splice, copied, or from a file.",
      SCOPE_PROCESS, put_relay, NULL, NULL },
    { "zproxy_relay_fallbacks_total", "counter",
      "How often bytes had to be copied where they should have been spliced: refused by the "
      "kernel, or no_pipe was left.",
      SCOPE_PROCESS, put_fallbacks, NULL, NULL },
    { "zproxy_pipes", "gauge", "Pipes: idle in stock, or used by bytes in flight.", SCOPE_PROCESS,
      metrics_put_pipes, NULL, NULL },
    { "zproxy_pipe_bytes", "gauge", "Bytes that all these pipes may hold.", SCOPE_PROCESS,
      put_number, pipe_bytes, NULL },
    { "zproxy_workers", "gauge", "Workers that take new sessions; each is a thread.", SCOPE_PROCESS,
      put_number, workers, NULL },
    { "zproxy_worker_sessions", "gauge", "Sessions of the worker now.", SCOPE_WORKERS,
      put_worker_sessions, NULL, NULL },
    { "zproxy_worker_hangs", "gauge",
      "1 while the worker has not answered for some seconds: its sessions stand still.",
      SCOPE_WORKERS, put_worker_hangs, NULL, NULL },
    { "zproxy_worker_loop_seconds_total", "counter",
      "Time that the worker's loop was at work, by its thread's CPU clock; a rate of 1 is a "
      "full CPU.",
      SCOPE_WORKERS, put_worker_time, NULL, NULL },
    { "zproxy_process_sessions", "gauge", "Sessions of all listeners now.", SCOPE_PROCESS,
      put_number, process_sessions, NULL },
    { "zproxy_process_sessions_limit", "gauge",
      "Sessions that the process may have: max_connections in [global], or what its "
      "descriptors are enough for. At the limit new clients wait in the kernel's queue.",
      SCOPE_PROCESS, put_number, process_sessions_limit, NULL },
    { "zproxy_config_reloads_total", "counter",
      "Reloads by their result; after a failure the former configuration stays in force.",
      SCOPE_PROCESS, put_reloads, NULL, NULL },
    { "zproxy_config_generation", "gauge",
      "The configuration in force: 1 at the start, one more with each reload.", SCOPE_PROCESS,
      put_number, config_generation, NULL },
    { "zproxy_log_dropped_total", "counter",
      "Lines that were not written: the target was full, refused them or took too long.",
      SCOPE_PROCESS, put_log, NULL, NULL },
    { "zproxy_build_info", "gauge", "1; its labels tell what is running.", SCOPE_PROCESS, put_build,
      NULL, NULL },
    { "process_cpu_seconds_total", "counter", "CPU time of all threads.", SCOPE_PROCESS, put_cpu,
      NULL, NULL },
    { "process_start_time_seconds", "gauge", "When it began, since the epoch.", SCOPE_PROCESS,
      put_start, NULL, knows_start },
    { "process_virtual_memory_bytes", "gauge", "Size of its address space.", SCOPE_PROCESS,
      put_number, virtual_size, knows_virtual_size },
    { "process_resident_memory_bytes", "gauge", "Memory in use.", SCOPE_PROCESS, put_number,
      resident, knows_resident },
    { "process_open_fds", "gauge", "Descriptors that are open.", SCOPE_PROCESS, put_number,
      open_fds, knows_open_fds },
    { "process_max_fds", "gauge", "Descriptors that may be open.", SCOPE_PROCESS, put_number,
      max_fds, knows_max_fds },
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
        f->series(m, f, m->item++, out);
    if (m->item < count)
        return true;
    m->item = 0;
    return ++m->family < LENGTH(families);
}
