/* The text format of Prometheus, version 0.0.4: one line per sample, a name, labels in braces, and
 * a value. A sample is written by prometheus_labels() and then one of the functions for its value.
 * From any thread. */
#ifndef ZPROXY_METRICS_PROMETHEUS_H
#define ZPROXY_METRICS_PROMETHEUS_H

#include <stdint.h>
#include <stdio.h>

#include "base/stats.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prometheus_label {
    const char *name;
    const char *value;
};

/* An array of labels that ends with NULL: PROMETHEUS_LABELS({ "name", value }, ...). */
#define PROMETHEUS_LABELS(...) ((const struct prometheus_label[]){ __VA_ARGS__, { NULL, NULL } })

/* Writes the name of a metric and its labels (NULL: none). */
void prometheus_labels(FILE *out, const char *metric, const struct prometheus_label *labels);

/* End the line with a value. A limit of 0 is written as +Inf: no limit. */
void prometheus_value(FILE *out, uint64_t value);
void prometheus_limit(FILE *out, uint64_t limit);

/* Writes the value of a label, without its quotes: escaped, bytes that are not UTF-8 as U+FFFD. */
void prometheus_label_value(const char *text, FILE *out);

/* Writes all lines of a histogram. Its values were recorded in units of 1/per: per is 1000 for a
 * metric in seconds that was recorded in milliseconds. */
void prometheus_histogram(const char *name, const struct histogram_totals *h,
                          const struct histogram_scale *scale, double per, FILE *out);

#endif
