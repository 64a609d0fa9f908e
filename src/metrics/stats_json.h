/* /stats.json: the figures of a snapshot as JSON. zproxy(8) documents its names. For the control
 * thread. */
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

/* The sessions with the highest rates, in descending order. */
struct busiest {
    const struct session_list_row *row;
    size_t count;
};

/* The position in the text. The caller sets the first four fields; the rest begins as 0. */
struct stats_json {
    const struct snapshot *s;
    const struct busiest *busiest;
    const struct history *history;
    uint64_t since; /* the first step of the history to write */

    struct json_writer writer;
    size_t part;
    size_t item;
    size_t server;
    const struct history_pool *next_history;
};

/* Writes the next piece, some thousand bytes. Returns false if it was the last one. */
bool stats_json_next(struct stats_json *j, FILE *out);

#endif
