/* Figures as Prometheus reads them: its text format, version 0.0.4. */
#ifndef ZPROXY_METRICS_METRICS_H
#define ZPROXY_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "metrics/process.h"
#include "metrics/snapshot.h"

/* The text in the making. It begins with all but s and process 0. */
struct metrics {
    const struct snapshot *s;
    struct process_stats process;
    size_t family;
    size_t item;
};

/* Writes the next piece, some thousand bytes. Returns false when that was the last one. */
bool metrics_next(struct metrics *m, FILE *out);

#endif
