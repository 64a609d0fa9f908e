/* What every pool did in the last minutes, step by step, so that a plot is full at once. For the
 * control thread. */
#ifndef ZPROXY_METRICS_HISTORY_H
#define ZPROXY_METRICS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/pools.h"
#include "metrics/snapshot.h"

#define HISTORY_STEP  2000 /* ms */
#define HISTORY_STEPS 150
#define HISTORY_POOLS 64 /* more have none */

/* In a step, on average, each second; sessions: at its end. */
struct history_point {
    float up; /* bytes to servers */
    float down;
    float sessions;
    float connections; /* sessions that have reached a server */
    float failures;    /* connects that failed, sessions that did */
};

struct history_pool {
    TAILQ_ENTRY(history_pool) in_history;
    char *name;
    struct snapshot_sums last;
    bool seen;                                 /* in this step */
    struct history_point point[HISTORY_STEPS]; /* of step n at n % HISTORY_STEPS */
};

TAILQ_HEAD(history_pools, history_pool);

struct history {
    struct history_pools pools; /* in the configuration's order */
    size_t count;
    uint64_t steps; /* so far: the last one is steps - 1 */
    uint64_t last;  /* ms, its end */
};

void history_init(struct history *h);
void history_fini(struct history *h);
/* The same again, as it is now. Returns 0 or -ENOMEM; history_fini() is due in both cases. */
int history_copy(const struct history *h, struct history *copy);

/* A step is over; now in ms. Pools that conf has no more are forgotten. */
void history_sample(struct history *h, const struct config *conf, const struct pools *pools,
                    uint64_t now);

/* The oldest step that is still known, not older than since. */
uint64_t history_first(const struct history *h, uint64_t since);

const struct history_point *history_at(const struct history_pool *p, uint64_t step);

#endif
