/* The rates of each pool in the last five minutes, so that the plots of the status page have data
 * when it is opened. For the control thread. */
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
#define HISTORY_POOLS 64 /* further pools have no history */

/* Averages per second of one step; sessions: their number at its end. */
struct history_point {
    float up; /* bytes to servers */
    float down;
    float sessions;
    float connections; /* sessions that have reached a server */
    float failures;    /* failed connects and failed sessions */
};

struct history_pool {
    TAILQ_ENTRY(history_pool) in_history;
    char *name;
    struct snapshot_sums last;
    bool seen;                                 /* the configuration of this step has the pool */
    struct history_point point[HISTORY_STEPS]; /* step n is at n % HISTORY_STEPS */
};

TAILQ_HEAD(history_pools, history_pool);

struct history {
    struct history_pools pools; /* in the order of the configuration */
    size_t count;
    uint64_t steps; /* recorded so far; the last is steps - 1 */
    uint64_t last;  /* the end of the last step, ms */
};

void history_init(struct history *h);
void history_fini(struct history *h);
/* Copies the history. Returns 0 or -ENOMEM; the caller calls history_fini(copy) in both cases. */
int history_copy(const struct history *h, struct history *copy);

/* Records a step that ends now (ms, uv_now()). Forgets pools that conf does not have. */
void history_sample(struct history *h, const struct config *conf, const struct pools *pools,
                    uint64_t now);

/* The oldest recorded step from `since` on. */
uint64_t history_first(const struct history *h, uint64_t since);

const struct history_point *history_at(const struct history_pool *p, uint64_t step);

#endif
