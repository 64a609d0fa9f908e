/* Everything that can be counted, as JSON: /stats.json. Its names are part of the manual. */
#ifndef ZPROXY_METRICS_STATS_JSON_H
#define ZPROXY_METRICS_STATS_JSON_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "control/census.h"
#include "metrics/history.h"
#include "metrics/snapshot.h"

#define STATS_JSON_TYPE "application/json"

/* Sessions that move most, the busiest first. */
struct busiest {
    const struct census_row *row;
    size_t count;
};

/* since: of the history, steps from this one on. */
void stats_json_print(const struct snapshot *s, const struct busiest *busiest,
                      const struct history *history, uint64_t since, FILE *out);

#endif
