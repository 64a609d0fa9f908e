#include "metrics/metrics.h"

#include <inttypes.h>
#include <string.h>
#include <uv.h>

#include "base/log.h"
#include "base/utf8.h"
#include "build.h"
#include "relay/mover.h"
#include "session/end.h"

#define MS_PER_S 1e3
#define NS_PER_S 1e9

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

static void family(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void put_escaped(char c, FILE *out)
{
    if (c == '\n')
        fputs("\\n", out);
    else if (c == '"' || c == '\\')
        fprintf(out, "\\%c", c);
    else
        fputc(c, out);
}

void metrics_print_label(const char *text, FILE *out)
{
    utf8_print(text, put_escaped, out);
}

static void put_label(FILE *out, const char *name, const char *value)
{
    fprintf(out, "%s=\"", name);
    metrics_print_label(value, out);
    fputc('"', out);
}

/* ---- listeners ---- */

static void put_listener(FILE *out, const char *metric, const struct snapshot_listener *l,
                         uint64_t value)
{
    fprintf(out, "zproxy_listener_%s{", metric);
    put_label(out, "listener", l->name);
    fprintf(out, "} %" PRIu64 "\n", value);
}

/* 0 stands for no limit. */
static void put_limit_value(FILE *out, uint64_t limit)
{
    if (limit == 0)
        fputs("} +Inf\n", out);
    else
        fprintf(out, "} %" PRIu64 "\n", limit);
}

static void put_listener_limit(FILE *out, const struct snapshot_listener *l)
{
    fputs("zproxy_listener_sessions_limit{", out);
    put_label(out, "listener", l->name);
    put_limit_value(out, l->max_connections);
}

/* One for each reason, so that a graph ends when the pause does. */
static void put_paused(FILE *out, const struct snapshot_listener *l)
{
    for (int why = ACCEPT_OPEN + 1; why < ACCEPT_REASONS; why++) {
        fputs("zproxy_accept_paused{", out);
        put_label(out, "listener", l->name);
        fprintf(out, ",reason=\"%s\"} %d\n", accept_reason_name((enum accept_reason)why),
                (int)l->paused == why);
    }
}

static void put_refused(FILE *out, const struct snapshot_listener *l)
{
    for (int why = 0; why < SESSION_ENDS; why++) {
        if (!session_end_is_refusal((enum session_end)why))
            continue;
        fputs("zproxy_listener_refused_total{", out);
        put_label(out, "listener", l->name);
        fprintf(out, ",reason=\"%s\"} %" PRIu64 "\n", session_end_name((enum session_end)why),
                l->refused[why]);
    }
}

static void put_listeners(FILE *out, const struct snapshot *s)
{
    family(out, "zproxy_listener_connections_total", "counter", "Clients that have come in.");
    for (size_t i = 0; i < s->listener_count; i++)
        put_listener(out, "connections_total", &s->listener[i], s->listener[i].connections);
    family(out, "zproxy_listener_active", "gauge", "Sessions of the listener.");
    for (size_t i = 0; i < s->listener_count; i++)
        put_listener(out, "active", &s->listener[i], s->listener[i].active);
    family(
        out, "zproxy_listener_sessions_limit", "gauge",
        "Sessions that the listener may have, max_connections in [listen]; +Inf: no limit of its "
        "own. At the limit clients wait in the kernel's queue.");
    for (size_t i = 0; i < s->listener_count; i++)
        put_listener_limit(out, &s->listener[i]);
    family(
        out, "zproxy_accept_paused", "gauge",
        "1 while the listener does not accept clients, who wait in the kernel's queue: a limit is "
        "reached, or descriptors or memory are lacking.");
    for (size_t i = 0; i < s->listener_count; i++)
        put_paused(out, &s->listener[i]);
    family(out, "zproxy_listener_refused_total", "counter",
           "Clients that were sent away before there was anything to relay.");
    for (size_t i = 0; i < s->listener_count; i++)
        put_refused(out, &s->listener[i]);
}

/* ---- servers ---- */

typedef uint64_t server_value_fn(const struct snapshot_server *s);

#define VALUE(name, expression)                           \
    static uint64_t name(const struct snapshot_server *s) \
    {                                                     \
        return (uint64_t)(expression);                    \
    }
VALUE(up_of, s->up)
VALUE(weight_of, s->weight)
VALUE(active_of, s->active)
VALUE(connections_of, s->connections)
VALUE(failures_of, s->failures)
VALUE(received_of, s->received)
VALUE(sent_of, s->sent)
#undef VALUE

static const struct server_family {
    const char *metric;
    const char *type;
    const char *help;
    server_value_fn *value;
} server_families[] = {
    { "zproxy_server_up", "gauge", "1 unless checks or failed connects say otherwise.", up_of },
    { "zproxy_server_weight", "gauge", "Its weight, 1 to 256.", weight_of },
    { "zproxy_server_active", "gauge", "Sessions on it, connecting ones counted.", active_of },
    { "zproxy_server_connections_total", "counter", "Sessions that have reached it.",
      connections_of },
    { "zproxy_server_connect_failures_total", "counter", "Connects to it that have failed.",
      failures_of },
    { "zproxy_server_received_bytes_total", "counter", "Bytes from it.", received_of },
    { "zproxy_server_sent_bytes_total", "counter", "Bytes to it.", sent_of },
};

typedef void server_series_fn(FILE *out, const char *pool, const struct snapshot_server *s,
                              const void *arg);

static void each_server(FILE *out, const struct snapshot *s, server_series_fn *series,
                        const void *arg)
{
    for (size_t i = 0; i < s->pool_count; i++)
        for (size_t j = 0; j < s->pool[i].server_count; j++)
            series(out, s->pool[i].name, &s->pool[i].server[j], arg);
}

/* The metric and the labels that make a server one of its kind; the bracket stays open. */
static void begin_server(FILE *out, const char *metric, const char *pool,
                         const struct snapshot_server *s)
{
    fprintf(out, "%s{", metric);
    put_label(out, "pool", pool);
    fputc(',', out);
    put_label(out, "server", s->name);
    fputc(',', out);
    put_label(out, "address", s->address);
}

static void put_server(FILE *out, const char *pool, const struct snapshot_server *s,
                       const void *arg)
{
    const struct server_family *f = arg;
    begin_server(out, f->metric, pool, s);
    fprintf(out, "} %" PRIu64 "\n", f->value(s));
}

static void put_state(FILE *out, const char *pool, const struct snapshot_server *s, const void *arg)
{
    (void)arg;
    for (int i = 0; server_view_states[i] != NULL; i++) {
        begin_server(out, "zproxy_server_state", pool, s);
        fprintf(out, ",state=\"%s\"} %d\n", server_view_states[i], (int)s->state == i);
    }
}

static void put_server_limit(FILE *out, const char *pool, const struct snapshot_server *s,
                             const void *arg)
{
    (void)arg;
    begin_server(out, "zproxy_server_sessions_limit", pool, s);
    put_limit_value(out, s->max_connections);
}

static void put_checks(FILE *out, const char *pool, const struct snapshot_server *s,
                       const void *arg)
{
    (void)arg;
    if (!s->check.has)
        return;
    begin_server(out, "zproxy_server_checks_total", pool, s);
    fprintf(out, ",result=\"passed\"} %" PRIu64 "\n", s->check.passes);
    begin_server(out, "zproxy_server_checks_total", pool, s);
    fprintf(out, ",result=\"failed\"} %" PRIu64 "\n", s->check.failures);
}

static void put_last_check(FILE *out, const char *pool, const struct snapshot_server *s,
                           const void *arg)
{
    (void)arg;
    if (!s->check.has)
        return;
    begin_server(out, "zproxy_server_last_check_seconds", pool, s);
    fprintf(out, "} %.3f\n", (double)s->check.duration / MS_PER_S);
}

static void put_queued(FILE *out, const struct snapshot *s, const char *metric, const char *help)
{
    family(out, metric, "gauge", help);
    for (size_t i = 0; i < s->pool_count; i++) {
        fprintf(out, "%s{", metric);
        put_label(out, "pool", s->pool[i].name);
        fprintf(out, "} %" PRIu64 "\n", s->pool[i].sums.waiting);
    }
}

static void put_pools(FILE *out, const struct snapshot *s)
{
    family(
        out, "zproxy_pool_usable_servers", "gauge",
        "Servers of the pool that new sessions may be sent to. A pool that answers with a file has "
        "none.");
    for (size_t i = 0; i < s->pool_count; i++) {
        if (s->pool[i].file != NULL)
            continue;
        fputs("zproxy_pool_usable_servers{", out);
        put_label(out, "pool", s->pool[i].name);
        fprintf(out, "} %zu\n", s->pool[i].sums.usable);
    }
    family(out, "zproxy_pool_problem", "gauge",
           "1 for how bad it is: critical, clients are not served; warning, servers are down while "
           "others, or a fallback, serve, or all are in maintenance.");
    for (size_t i = 0; i < s->pool_count; i++)
        for (int severity = SEVERITY_WARNING; severity <= SEVERITY_CRITICAL; severity++) {
            fputs("zproxy_pool_problem{", out);
            put_label(out, "pool", s->pool[i].name);
            fprintf(out, ",severity=\"%s\"} %d\n", severity_name((enum severity)severity),
                    s->pool[i].severity == (enum severity)severity);
        }
}

static void put_servers(FILE *out, const struct snapshot *s)
{
    for (size_t i = 0; i < LENGTH(server_families); i++) {
        const struct server_family *f = &server_families[i];
        family(out, f->metric, f->type, f->help);
        each_server(out, s, put_server, f);
    }
    family(out, "zproxy_server_sessions_limit", "gauge",
           "Sessions that the server may have, max_connections of its line; +Inf: no limit. At the "
           "limit sessions go to other servers, or wait.");
    each_server(out, s, put_server_limit, NULL);
    family(out, "zproxy_server_state", "gauge", "1 for what the user wants of it.");
    each_server(out, s, put_state, NULL);
    put_queued(out, s, "zproxy_pool_queued",
               "Sessions that wait for a place on a server of the pool, whichever it will be.");
    put_queued(out, s, "zproxy_server_queued",
               "The former name of zproxy_pool_queued; it will go with the next release.");
    family(out, "zproxy_server_checks_total", "counter", "Its checks, by how they ended.");
    each_server(out, s, put_checks, NULL);
    family(out, "zproxy_server_last_check_seconds", "gauge", "How long its last check took.");
    each_server(out, s, put_last_check, NULL);
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

static void put_sessions(FILE *out, const struct worker_totals *t)
{
    family(out, "zproxy_session_connect_seconds", "histogram",
           "From a client's coming to its server's answering, of sessions that reached one.");
    metrics_print_histogram("zproxy_session_connect_seconds", &t->connect_time,
                            &sessions_connect_scale, MS_PER_S, out);
    family(out, "zproxy_session_duration_seconds", "histogram", "How long sessions lasted.");
    metrics_print_histogram("zproxy_session_duration_seconds", &t->duration,
                            &sessions_duration_scale, MS_PER_S, out);
    family(out, "zproxy_session_bytes", "histogram", "Bytes of a session, both directions.");
    metrics_print_histogram("zproxy_session_bytes", &t->session_bytes, &sessions_bytes_scale, 1,
                            out);
    family(out, "zproxy_sessions_ended_total", "counter", "Sessions by why they ended.");
    for (int why = SESSION_END_NONE + 1; why < SESSION_ENDS; why++)
        fprintf(out, "zproxy_sessions_ended_total{reason=\"%s\"} %" PRIu64 "\n",
                session_end_name((enum session_end)why), t->ends[why]);
}

/* ---- relaying ---- */

static void put_relay(FILE *out, const struct worker_totals *t)
{
    static const char *const paths[MOVER_PATHS] = {
        [MOVER_SPLICE] = "splice", [MOVER_COPY] = "copy", [MOVER_FILE] = "file"
    };
    static const char *const directions[MOVER_DIRECTIONS] = {
        [MOVER_UP] = "up", [MOVER_DOWN] = "down"
    };
    family(out, "zproxy_relay_bytes_total", "counter",
           "Bytes relayed: up to servers, down to clients; by splice, copied, or from a file.");
    for (int p = 0; p < MOVER_PATHS; p++)
        for (int d = 0; d < MOVER_DIRECTIONS; d++)
            if (p != MOVER_FILE || d != MOVER_UP)
                fprintf(out, "zproxy_relay_bytes_total{path=\"%s\",direction=\"%s\"} %" PRIu64 "\n",
                        paths[p], directions[d], t->bytes[p][d]);
    family(out, "zproxy_relay_fallbacks_total", "counter",
           "How often bytes had to be copied where they should have been spliced.");
    for (int f = 0; f < MOVER_FALLBACKS; f++)
        fprintf(out, "zproxy_relay_fallbacks_total{reason=\"%s\"} %" PRIu64 "\n",
                mover_fallback_name((enum mover_fallback)f), t->fallbacks[f]);
}

static void put_pipes(FILE *out, const struct snapshot *s)
{
    uint64_t idle = 0;
    uint64_t used = 0;
    uint64_t bytes = 0;
    for (size_t i = 0; i < s->worker_count; i++) {
        idle += s->worker[i].pipes_idle;
        used += s->worker[i].pipes_used;
        bytes += s->worker[i].pipe_bytes;
    }
    family(out, "zproxy_pipes", "gauge", "Pipes: idle in stock, or used by bytes in flight.");
    fprintf(out,
            "zproxy_pipes{state=\"idle\"} %" PRIu64 "\nzproxy_pipes{state=\"used\"} %" PRIu64 "\n",
            idle, used);
    family(out, "zproxy_pipe_bytes", "gauge", "Bytes that all these pipes may hold.");
    fprintf(out, "zproxy_pipe_bytes %" PRIu64 "\n", bytes);
}

static void put_workers(FILE *out, const struct snapshot *s)
{
    family(out, "zproxy_workers", "gauge", "Workers that take new sessions.");
    fprintf(out, "zproxy_workers %zu\n", s->workers);
    family(out, "zproxy_worker_sessions", "gauge", "Sessions of the worker.");
    for (size_t i = 0; i < s->worker_count; i++)
        fprintf(out, "zproxy_worker_sessions{worker=\"%u\"} %" PRIu64 "\n", s->worker[i].index,
                s->worker[i].sessions);
    family(out, "zproxy_worker_loop_seconds_total", "counter",
           "Time that the worker's loop was at work, by its thread's CPU clock.");
    for (size_t i = 0; i < s->worker_count; i++)
        fprintf(out, "zproxy_worker_loop_seconds_total{worker=\"%u\"} %.6f\n", s->worker[i].index,
                (double)s->worker[i].cpu / NS_PER_S);
}

/* ---- the process ---- */

static void put_limit(FILE *out, const struct snapshot *s)
{
    family(out, "zproxy_process_sessions", "gauge", "Sessions of all listeners.");
    fprintf(out, "zproxy_process_sessions %" PRIu64 "\n", s->sessions);
    family(
        out, "zproxy_process_sessions_limit", "gauge",
        "Sessions that the process may have: max_connections in [global], or what its descriptors "
        "are enough for. At the limit clients wait in the kernel's queue.");
    fprintf(out, "zproxy_process_sessions_limit %" PRIu64 "\n", s->max_sessions);
}

static void put_log(FILE *out)
{
    family(out, "zproxy_log_dropped_total", "counter",
           "Lines that were not written: the target was full, refused them or took too long.");
    for (int i = 0; i < LOG_NAMES; i++) {
        struct log_state state;
        log_state((enum log_name)i, &state);
        if (state.is_open)
            fprintf(out, "zproxy_log_dropped_total{log=\"%s\"} %" PRIu64 "\n",
                    log_name((enum log_name)i), state.dropped);
    }
}

static void put_config(FILE *out, const struct snapshot *s)
{
    family(out, "zproxy_config_reloads_total", "counter", "Reloads by their result.");
    fprintf(out, "zproxy_config_reloads_total{result=\"success\"} %" PRIu64 "\n", s->reloads);
    fprintf(out, "zproxy_config_reloads_total{result=\"failure\"} %" PRIu64 "\n",
            s->failed_reloads);
    family(out, "zproxy_config_generation", "gauge",
           "The configuration in force: 1 at the start, one more with each reload.");
    fprintf(out, "zproxy_config_generation %u\n", s->generation);
    family(out, "zproxy_build_info", "gauge", "1; its labels tell what is running.");
    fprintf(out, "zproxy_build_info{version=\"%s\",libuv=\"%s\",splice=\"%s\"} 1\n",
            PACKAGE_VERSION, uv_version_string(), mover_can_splice() ? "yes" : "no");
}

static void put_size(FILE *out, const char *name, const char *help, uint64_t value)
{
    if (value == PROCESS_UNKNOWN)
        return;
    family(out, name, "gauge", help);
    fprintf(out, "%s %" PRIu64 "\n", name, value);
}

static void put_process(FILE *out, const struct process_figures *p)
{
    family(out, "process_cpu_seconds_total", "counter", "CPU time of all threads.");
    fprintf(out, "process_cpu_seconds_total %.6f\n", p->cpu);
    if (p->began > 0) {
        family(out, "process_start_time_seconds", "gauge", "When it began, since the epoch.");
        fprintf(out, "process_start_time_seconds %.2f\n", p->began);
    }
    put_size(out, "process_virtual_memory_bytes", "Size of its address space.", p->virtual_size);
    put_size(out, "process_resident_memory_bytes", "Memory in use.", p->resident);
    put_size(out, "process_open_fds", "Descriptors that are open.", p->descriptors);
    put_size(out, "process_max_fds", "Descriptors that may be open.", p->descriptors_max);
}

void metrics_print(const struct snapshot *s, const struct process_figures *process, FILE *out)
{
    put_listeners(out, s);
    put_pools(out, s);
    put_servers(out, s);
    put_sessions(out, &s->totals);
    put_relay(out, &s->totals);
    put_pipes(out, s);
    put_workers(out, s);
    put_limit(out, s);
    put_log(out);
    put_config(out, s);
    put_process(out, process);
}
