/* Everything that can be counted, as JSON: /stats.json. Its names are part of the manual. */
#ifndef ZPROXY_METRICS_STATS_JSON_H
#define ZPROXY_METRICS_STATS_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/json.h"
#include "control/session_list.h"
#include "metrics/history.h"
#include "metrics/snapshot.h"

#define STATS_JSON_TYPE "application/json"

/* Sessions that move most, the busiest first. */
struct busiest {
    const struct session_list_row *row;
    size_t count;
};

/* The text in the making. What is not set by the caller begins with 0. */
struct stats_json {
    const struct snapshot *s;
    const struct busiest *busiest;
    const struct history *history;
    uint64_t since; /* of the history, steps from this one on */

    struct json_writer writer;
    size_t part;
    size_t item;
    size_t server;
    const struct history_pool *next_history;
};

/* Writes the next piece, some thousand bytes. Returns false when that was the last one. */
bool stats_json_next(struct stats_json *j, FILE *out);

#endif
