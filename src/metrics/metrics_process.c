#include "metrics/metrics_internal.h"

#include <uv.h>

#include "base/log.h"
#include "build.h"
#include "metrics/prometheus.h"
#include "relay/relay_stock.h"

#define NS_PER_S 1e9

#define LENGTH(list) (sizeof(list) / sizeof(list)[0])

/* ---- relaying ---- */

static void put_relay(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    static const char *const paths[RELAY_PATHS] = {
        [RELAY_SPLICE] = "splice", [RELAY_COPY] = "copy", [RELAY_FILE] = "file", [RELAY_TLS] = "tls"
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

static void put_tls_user(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    (void)i;
    for (int why = TLS_USER_NONE + 1; why < TLS_USER_REASONS; why++) {
        prometheus_labels(out, f->name,
                          PROMETHEUS_LABELS(
                              { "reason", tls_user_reason_name((enum tls_user_reason)why) }));
        prometheus_value(out, m->s->totals.tls_user[why]);
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

static void put_process(const struct metrics *m, const struct family *f, size_t i, FILE *out)
{
    prometheus_labels(out, f->name, NULL);
    prometheus_value(out, f->value(m, i));
}

VALUE(tls_kernel, m->s->totals.tls_kernel)
VALUE(bad_records, m->s->totals.bad_records)
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

/* These come after those of metrics.c. */
static const struct family process_families[] = {
    { "zproxy_relay_bytes_total", "counter",
      "Bytes relayed: up to servers, down to clients; spliced, copied, or sent from a "
      "file.",
      SCOPE_PROCESS, .samples = put_relay },
    { "zproxy_relay_fallbacks_total", "counter",
      "How often bytes were copied instead of spliced: the kernel refused to splice "
      "(refused), or no pipe was left (no_pipe).",
      SCOPE_PROCESS, .samples = put_fallbacks },
    { "zproxy_tls_kernel_connections_total", "counter",
      "TLS connections that the kernel encrypts and decrypts, so that they are spliced.",
      SCOPE_PROCESS, .samples = put_process, .value = value_tls_kernel },
    { "zproxy_tls_user_connections_total", "counter",
      "TLS connections that stayed in user space, by reason: zproxy(8), TLS IN THE KERNEL.",
      SCOPE_PROCESS, .samples = put_tls_user },
    { "zproxy_tls_bad_records_total", "counter",
      "TLS records that did not decrypt: each ended its session.", SCOPE_PROCESS,
      .samples = put_process, .value = value_bad_records },
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

const struct family *metrics_process_family(size_t i)
{
    return &process_families[i];
}

size_t metrics_process_count(void)
{
    return LENGTH(process_families);
}
