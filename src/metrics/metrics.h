/* Figures as Prometheus reads them: its text format, version 0.0.4. */
#ifndef ZPROXY_METRICS_METRICS_H
#define ZPROXY_METRICS_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "base/stats.h"
#include "metrics/process.h"
#include "metrics/snapshot.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* The text in the making. It begins with all but s and process 0. */
struct metrics {
    const struct snapshot *s;
    struct process_stats process;
    size_t family;
    size_t item;
};

/* Writes the next piece, some thousand bytes. Returns false when that was the last one. */
bool metrics_next(struct metrics *m, FILE *out);

/* Writes text as the value of a label, without quotes: UTF-8, and escaped. */
void metrics_print_label(const char *text, FILE *out);

/* Writes the series of a histogram; values are recorded in units of 1/per. */
void metrics_print_histogram(const char *name, const struct histogram_totals *h,
                             const struct histogram_scale *scale, double per, FILE *out);

#endif
