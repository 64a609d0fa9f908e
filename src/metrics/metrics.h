/* /metrics: the figures of a snapshot in the text format of Prometheus. For the control thread. */
#ifndef ZPROXY_METRICS_METRICS_H
#define ZPROXY_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "metrics/process.h"
#include "metrics/snapshot.h"

/* The position in the text. The caller sets s and process; the rest begins as 0. */
struct metrics {
    const struct snapshot *s;
    struct process_stats process;
    size_t family;
    size_t item;
};

/* Writes the next piece, some thousand bytes. Returns false if it was the last one. */
bool metrics_next(struct metrics *m, FILE *out);

#endif
