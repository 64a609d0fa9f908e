/* One step of a rebalance (rebalances.h): finds the sessions that should move to other servers, and
 * closes those of them that have been silent longest. Two scans of all sessions, however many are
 * closed. For the control thread. */
#ifndef ZPROXY_CONTROL_REBALANCE_WAVE_H
#define ZPROXY_CONTROL_REBALANCE_WAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/pool.h"
#include "control/session_scan.h"
#include "control/workers.h"

/* Sessions beyond the share of a server. */
struct rebalance_excess {
    uint32_t server; /* its serial */
    uint64_t count;
};

struct rebalance_wave_request {
    struct pool *pool;
    bool by_key;                     /* the sessions whose keys belong to other servers */
    struct rebalance_excess *excess; /* otherwise; in any order. The wave owns it */
    size_t excess_count;
    uint64_t wanted; /* sessions to close, at most; 0: they are only counted */
    void (*done)(void *arg, uint64_t found, uint64_t closed); /* found: with by_key only */
    void *arg;
};

/* A session is closed only if it relays in both directions, and if its server still has more
 * sessions than its share, or its key still belongs to another server. Returns 0, or -ENOMEM or
 * -ECANCELED: then done is not called. */
int rebalance_wave_start(struct scan_replies *scan_replies, struct workers *workers,
                         const struct rebalance_wave_request *request);

#endif
