/* The pools of the status page: a collapsible table of servers for each. */
#ifndef ZPROXY_METRICS_STATUS_POOLS_H
#define ZPROXY_METRICS_STATUS_POOLS_H

#include <stdio.h>

#include "metrics/snapshot.h"

/* Writes the pools with critical problems first, then those with warnings, then the others; each
 * kind in the order of the configuration. */
void status_pools_print(const struct snapshot *s, FILE *out);

/* The class in style.css for a severity: "bad", "warn" or "good". */
const char *status_pools_class(enum severity severity);

#endif
