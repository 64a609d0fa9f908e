/* One step of a rebalance (rebalances.h): finds the sessions that should move to other servers, and
 * closes those of them that have been silent longest. It takes two scans of all sessions
 * (session_scan.h), on the workers' threads: one finds them, one closes. For the control thread. */
#ifndef ZPROXY_CONTROL_REBALANCE_WAVE_H
#define ZPROXY_CONTROL_REBALANCE_WAVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/pool.h"
#include "control/session_scan.h"
#include "control/workers.h"

/* How many sessions a wave may move from a server, or with by_key to it. */
struct rebalance_quota {
    uint32_t server; /* its serial */
    uint64_t count;
};

struct rebalance_wave_result {
    uint64_t found;   /* with by_key: sessions whose keys belong to other servers; otherwise 0 */
    uint64_t strayed; /* the same, with ids above since */
    uint64_t closed;
};

struct rebalance_wave_request {
    struct pool *pool;
    bool by_key; /* true: sessions whose keys belong to other servers; false: by quota */
    /* In any order. by_key: the room of servers that have a limit; others have no entry. Otherwise
     * the sessions beyond shares; of servers without an entry no session is closed. */
    struct rebalance_quota *quota;
    size_t quotas;
    uint64_t
        since; /* an id. With by_key, later sessions stay: they got the server that they could */
    uint64_t wanted; /* sessions to close, at most; 0: they are only counted */
    void (*done)(void *arg, const struct rebalance_wave_result *result);
    void *arg;
};

/* A session is closed only if it relays in both directions, and if its server still has more
 * sessions than its share, or its key still belongs to another server. Copies *request and takes
 * ownership of quota, also after an error. Returns 0, and done is called later; or -ENOMEM, or
 * -ECANCELED at the end of the process. */
int rebalance_wave_start(struct scan_replies *scan_replies, struct workers *workers,
                         const struct rebalance_wave_request *request);

/* How many sessions may come to the servers that have a limit, for `quota` with by_key. Returns
 * NULL when out of memory. */
struct rebalance_quota *rebalance_wave_list_rooms(const struct pool *p, size_t *count);

#endif
