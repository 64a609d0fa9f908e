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

#define PIECE 64 /* listeners, servers, ... at a time */

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* ---- labels ---- */

static void put_escaped(char c, FILE *out)
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
        utf8_print(text, put_escaped, out);
}

static void put_label(FILE *out, const char *name, const char *value)
{
    fputs(name, out);
    fputs("=\"", out);
    metrics_print_label(value, out);
    fputc('"', out);
}

/* The metric and its first label; the bracket stays open. */
static void begin(FILE *out, const char *metric, const char *label, const char *value)
{
    fputs(metric, out);
    fputc('{', out);
    put_label(out, label, value);
}

static void end(FILE *out, uint64_t value)
{
    fprintf(out, "} %" PRIu64 "\n", value);
}

/* 0 stands for no limit. */
static void end_limit(FILE *out, uint64_t limit)
{
    if (limit == 0)
        fputs("} +Inf\n", out);
    else
        end(out, limit);
}

/* ---- what there is ---- */

/* Of what a metric has series. */
enum scope {
    OF_PROCESS,
    OF_LISTENERS,
    OF_ENDED, /* listeners and pools */
    OF_POOLS,
    OF_SERVERS,
    OF_WORKERS,
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

static void put_listener(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin(out, f->name, "listener", m->s->listener[i].name);
    end(out, f->value(m, i));
}

static void put_listener_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin(out, f->name, "listener", m->s->listener[i].name);
    end_limit(out, m->s->listener[i].max_connections);
}

/* One for each reason, so that a graph ends when the pause does. */
static void put_paused(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = ACCEPT_OPEN + 1; why < ACCEPT_REASONS; why++) {
        begin(out, f->name, "listener", l->name);
        fprintf(out, ",reason=\"%s\"", accept_reason_name((enum accept_reason)why));
        end(out, (int)l->paused == why);
    }
}

static void put_refused(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_listener *l = &m->s->listener[i];
    for (int why = 0; why < SESSION_ENDS; why++) {
        if (!session_end_is_refusal((enum session_end)why))
            continue;
        begin(out, f->name, "listener", l->name);
        fprintf(out, ",reason=\"%s\"", session_end_name((enum session_end)why));
        end(out, l->refused[why]);
    }
}

/* ---- pools, servers ---- */

VALUE(server_up, m->s->server[i].up)
VALUE(server_weight, m->s->server[i].weight)
VALUE(server_active, m->s->server[i].active)
VALUE(server_connections, m->s->server[i].connections)
VALUE(server_failures, m->s->server[i].failures)
VALUE(server_received, m->s->server[i].received)
VALUE(server_sent, m->s->server[i].sent)

static void put_queued(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin(out, f->name, "pool", m->s->pool[i].name);
    end(out, m->s->pool[i].sums.waiting);
}

static void put_usable(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    if (p->file != NULL)
        return;
    begin(out, f->name, "pool", p->name);
    end(out, p->sums.usable);
}

static void put_problem(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_pool *p = &m->s->pool[i];
    for (int severity = SEVERITY_WARNING; severity <= SEVERITY_CRITICAL; severity++) {
        begin(out, f->name, "pool", p->name);
        fprintf(out, ",severity=\"%s\"", severity_name((enum severity)severity));
        end(out, (int)p->severity == severity);
    }
}

/* The labels that make a server one of its kind; the bracket stays open. */
static void begin_server(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_server *s = &m->s->server[i];
    begin(out, f->name, "pool", s->pool);
    fputc(',', out);
    put_label(out, "server", s->name);
    fputc(',', out);
    put_label(out, "address", s->address);
}

static void put_server(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin_server(m, f, i, out);
    end(out, f->value(m, i));
}

static void put_server_limit(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    begin_server(m, f, i, out);
    end_limit(out, m->s->server[i].max_connections);
}

static void put_state(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    for (int state = 0; server_view_states[state] != NULL; state++) {
        begin_server(m, f, i, out);
        fprintf(out, ",state=\"%s\"", server_view_states[state]);
        end(out, (int)m->s->server[i].state == state);
    }
}

static void put_checks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has)
        return;
    begin_server(m, f, i, out);
    fputs(",result=\"passed\"", out);
    end(out, c->passes);
    begin_server(m, f, i, out);
    fputs(",result=\"failed\"", out);
    end(out, c->failures);
}

static void put_last_check(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct snapshot_check *c = &m->s->server[i].check;
    if (!c->has)
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
        begin(out, f->name, "listener", e->listener);
        fputc(',', out);
        put_label(out, "pool", e->pool);
        fprintf(out, ",reason=\"%s\"", session_end_name((enum session_end)why));
        end(out, e->ended[why]);
    }
}

/* ---- relaying ---- */

static void put_relay(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    static const char *const paths[MOVER_PATHS] = {
        [MOVER_SPLICE] = "splice", [MOVER_COPY] = "copy", [MOVER_FILE] = "file"
    };
    static const char *const directions[MOVER_DIRECTIONS] = {
        [MOVER_UP] = "up", [MOVER_DOWN] = "down"
    };
    (void)i;
    for (int p = 0; p < MOVER_PATHS; p++)
        for (int d = 0; d < MOVER_DIRECTIONS; d++)
            if (p != MOVER_FILE || d != MOVER_UP)
                fprintf(out, "%s{path=\"%s\",direction=\"%s\"} %" PRIu64 "\n", f->name, paths[p],
                        directions[d], m->s->totals.bytes[p][d]);
}

static void put_fallbacks(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    for (int why = 0; why < MOVER_FALLBACKS; why++) {
        begin(out, f->name, "reason", mover_fallback_name((enum mover_fallback)why));
        end(out, m->s->totals.fallbacks[why]);
    }
}

static struct worker_state sum_pipes(const struct metrics *m)
{
    struct worker_state sum = { .pipe_bytes = 0 };
    for (size_t i = 0; i < m->s->worker_count; i++) {
        sum.pipes_idle += m->s->worker[i].pipes_idle;
        sum.pipes_used += m->s->worker[i].pipes_used;
        sum.pipe_bytes += m->s->worker[i].pipe_bytes;
    }
    return sum;
}

static void put_pipes(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    const struct worker_state sum = sum_pipes(m);
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
    for (int log = 0; log < LOG_NAMES; log++) {
        struct log_state state;
        log_state((enum log_name)log, &state);
        if (!state.is_open)
            continue;
        begin(out, f->name, "log", log_name((enum log_name)log));
        end(out, state.dropped);
    }
}

static void put_build(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)m;
    (void)i;
    fprintf(out, "%s{version=\"%s\",libuv=\"%s\",splice=\"%s\"} 1\n", f->name, PACKAGE_VERSION,
            uv_version_string(), mover_can_splice() ? "yes" : "no");
}

static void put_cpu(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    fprintf(out, "%s %.6f\n", f->name, m->process.cpu);
}

static void put_start(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    fprintf(out, "%s %.2f\n", f->name, m->process.began);
}

static bool knows_start(const struct metrics *m)
{
    return m->process.began > 0;
}

#define SIZE(field)                                    \
    VALUE(field, m->process.field)                     \
    static bool knows_##field(const struct metrics *m) \
    {                                                  \
        return m->process.field != PROCESS_UNKNOWN;    \
    }
SIZE(virtual_size)
SIZE(resident)
SIZE(descriptors)
SIZE(descriptors_max)

/* ---- all of it ---- */

static const struct family families[] = {
    { "zproxy_listener_connections_total", "counter",
      "Clients that were accepted, those that were refused included.", OF_LISTENERS, put_listener,
      listener_connections, NULL },
    { "zproxy_listener_active", "gauge", "Sessions of the listener now.", OF_LISTENERS,
      put_listener, listener_active, NULL },
    { "zproxy_listener_sessions_limit", "gauge",
      "Sessions that the listener may have, max_connections in [listen]; +Inf: no limit of "
      "its own. At the limit new clients wait in the kernel's queue.",
      OF_LISTENERS, put_listener_limit, NULL, NULL },
    { "zproxy_accept_paused", "gauge",
      "1 while the listener does not accept, and new clients wait in the kernel's queue: a "
      "limit is reached, or descriptors or memory are lacking. It is 1 until the listener "
      "has accepted for a second.",
      OF_LISTENERS, put_paused, NULL, NULL },
    { "zproxy_listener_refused_total", "counter",
      "Clients that were sent away before there was anything to relay; reason as in the "
      "access log (end=).",
      OF_LISTENERS, put_refused, NULL, NULL },
    { "zproxy_server_up", "gauge",
      "0 while checks say that it is down, or failed connects have taken it out; 1 "
      "otherwise, also in maintenance (zproxy_server_state).",
      OF_SERVERS, put_server, server_up, NULL },
    { "zproxy_server_weight", "gauge", "Its weight, 1 to 256; a larger one gets more sessions.",
      OF_SERVERS, put_server, server_weight, NULL },
    { "zproxy_server_active", "gauge", "Sessions on it now, connecting ones included.", OF_SERVERS,
      put_server, server_active, NULL },
    { "zproxy_server_connections_total", "counter", "Sessions that have reached it.", OF_SERVERS,
      put_server, server_connections, NULL },
    { "zproxy_server_connect_failures_total", "counter",
      "Connects to it that were refused, timed out or failed otherwise.", OF_SERVERS, put_server,
      server_failures, NULL },
    { "zproxy_server_received_bytes_total", "counter",
      "Bytes from it to clients, of sessions that go on as well.", OF_SERVERS, put_server,
      server_received, NULL },
    { "zproxy_server_sent_bytes_total", "counter",
      "Bytes from clients to it, of sessions that go on as well.", OF_SERVERS, put_server,
      server_sent, NULL },
    { "zproxy_server_sessions_limit", "gauge",
      "Sessions that the server may have, max_connections of its line; +Inf: no limit. At "
      "the limit sessions go to other servers, or wait.",
      OF_SERVERS, put_server_limit, NULL, NULL },
    { "zproxy_server_state", "gauge",
      "1 for the state that the user has set: ready, drain (no new sessions) or maint (nor "
      "checks); 0 for the others.",
      OF_SERVERS, put_state, NULL, NULL },
    { "zproxy_pool_usable_servers", "gauge",
      "Servers of the pool that new sessions may be sent to. A pool that answers with a file has "
      "none.",
      OF_POOLS, put_usable, NULL, NULL },
    { "zproxy_pool_problem", "gauge",
      "1 for how bad it is: critical, clients are not served; warning, servers are down while "
      "others, or a fallback, serve, or all are in maintenance.",
      OF_POOLS, put_problem, NULL, NULL },
    { "zproxy_pool_queued", "gauge", "Sessions that wait for a place on a server of the pool now.",
      OF_POOLS, put_queued, NULL, NULL },
    { "zproxy_server_queued", "gauge",
      "The former name of zproxy_pool_queued; it will go with the next release.", OF_POOLS,
      put_queued, NULL, NULL },
    { "zproxy_server_checks_total", "counter",
      "Its health checks that have passed or failed; none without checks.", OF_SERVERS, put_checks,
      NULL, NULL },
    { "zproxy_server_last_check_seconds", "gauge", "How long its last health check took.",
      OF_SERVERS, put_last_check, NULL, NULL },
    { "zproxy_session_connect_seconds", "histogram",
      "From a client's coming to its server's answering, of sessions that reached one.", OF_PROCESS,
      put_connect_time, NULL, NULL },
    { "zproxy_preread_seconds", "histogram",
      "From a client's coming until its PROXY header and TLS hello were there, of sessions whose "
      "listener asks for one.",
      OF_PROCESS, put_preread_time, NULL, NULL },
    { "zproxy_queue_seconds", "histogram",
      "How long sessions waited for a place on a server, of those that had to, whether they got "
      "one or not.",
      OF_PROCESS, put_queue_time, NULL, NULL },
    { "zproxy_session_duration_seconds", "histogram",
      "How long sessions lasted, from accept to close, when they have ended.", OF_PROCESS,
      put_duration, NULL, NULL },
    { "zproxy_session_bytes", "histogram",
      "Bytes of a session, both directions, when it has ended.", OF_PROCESS, put_bytes, NULL,
      NULL },
    { "zproxy_sessions_ended_total", "counter",
      "Sessions, refused clients included, by the pool that they were in at last and why they "
      "ended, as in the access log (end=).",
      OF_ENDED, put_ended, NULL, NULL },
    { "zproxy_relay_bytes_total", "counter",
      "Bytes relayed: up to servers, down to clients; by splice, copied, or from a file.",
      OF_PROCESS, put_relay, NULL, NULL },
    { "zproxy_relay_fallbacks_total", "counter",
      "How often bytes had to be copied where they should have been spliced: refused by the "
      "kernel, or no_pipe was left.",
      OF_PROCESS, put_fallbacks, NULL, NULL },
    { "zproxy_pipes", "gauge", "Pipes: idle in stock, or used by bytes in flight.", OF_PROCESS,
      put_pipes, NULL, NULL },
    { "zproxy_pipe_bytes", "gauge", "Bytes that all these pipes may hold.", OF_PROCESS, put_number,
      pipe_bytes, NULL },
    { "zproxy_workers", "gauge", "Workers that take new sessions; each is a thread.", OF_PROCESS,
      put_number, workers, NULL },
    { "zproxy_worker_sessions", "gauge", "Sessions of the worker now.", OF_WORKERS,
      put_worker_sessions, NULL, NULL },
    { "zproxy_worker_hangs", "gauge",
      "1 while the worker has not answered for some seconds: its sessions stand still.", OF_WORKERS,
      put_worker_hangs, NULL, NULL },
    { "zproxy_worker_loop_seconds_total", "counter",
      "Time that the worker's loop was at work, by its thread's CPU clock; a rate of 1 is a "
      "full CPU.",
      OF_WORKERS, put_worker_time, NULL, NULL },
    { "zproxy_process_sessions", "gauge", "Sessions of all listeners now.", OF_PROCESS, put_number,
      process_sessions, NULL },
    { "zproxy_process_sessions_limit", "gauge",
      "Sessions that the process may have: max_connections in [global], or what its "
      "descriptors are enough for. At the limit new clients wait in the kernel's queue.",
      OF_PROCESS, put_number, process_sessions_limit, NULL },
    { "zproxy_config_reloads_total", "counter",
      "Reloads by their result; after a failure the former configuration stays in force.",
      OF_PROCESS, put_reloads, NULL, NULL },
    { "zproxy_config_generation", "gauge",
      "The configuration in force: 1 at the start, one more with each reload.", OF_PROCESS,
      put_number, config_generation, NULL },
    { "zproxy_log_dropped_total", "counter",
      "Lines that were not written: the target was full, refused them or took too long.",
      OF_PROCESS, put_log, NULL, NULL },
    { "zproxy_build_info", "gauge", "1; its labels tell what is running.", OF_PROCESS, put_build,
      NULL, NULL },
    { "process_cpu_seconds_total", "counter", "CPU time of all threads.", OF_PROCESS, put_cpu, NULL,
      NULL },
    { "process_start_time_seconds", "gauge", "When it began, since the epoch.", OF_PROCESS,
      put_start, NULL, knows_start },
    { "process_virtual_memory_bytes", "gauge", "Size of its address space.", OF_PROCESS, put_number,
      virtual_size, knows_virtual_size },
    { "process_resident_memory_bytes", "gauge", "Memory in use.", OF_PROCESS, put_number, resident,
      knows_resident },
    { "process_open_fds", "gauge", "Descriptors that are open.", OF_PROCESS, put_number,
      descriptors, knows_descriptors },
    { "process_max_fds", "gauge", "Descriptors that may be open.", OF_PROCESS, put_number,
      descriptors_max, knows_descriptors_max },
};

static size_t count_of(const struct metrics *m, const struct family *f)
{
    if (f->known != NULL && !f->known(m))
        return 0;
    switch (f->scope) {
    case OF_PROCESS:
        break;
    case OF_LISTENERS:
        return m->s->listener_count;
    case OF_ENDED:
        return m->s->ended_count;
    case OF_POOLS:
        return m->s->pool_count;
    case OF_SERVERS:
        return m->s->server_count;
    case OF_WORKERS:
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
