/* The rows of /metrics. Shared by the files that have them: metrics.c has those of listeners,
 * pools, servers and sessions, metrics_process.c those of relaying, workers and the process. */
#ifndef ZPROXY_METRICS_METRICS_INTERNAL_H
#define ZPROXY_METRICS_METRICS_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "metrics/metrics.h"

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

/* The rows of metrics_process.c; an index from 0 to metrics_process_count() - 1. */
const struct family *metrics_process_family(size_t i);
size_t metrics_process_count(void);

#endif
