/* Everything that can be counted of the process, at one moment: for the metrics, JSON and the
 * status page.
 *
 * Taken on the control thread from what workers count for themselves: they are not asked, and spend
 * nothing on it. It points to nothing of the process, so that a long text can be made of it in
 * pieces, while servers and configurations come and go.
 */
#ifndef ZPROXY_METRICS_SNAPSHOT_H
#define ZPROXY_METRICS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/arena.h"
#include "command/server_view.h"
#include "config/config.h"
#include "control/problems.h"
#include "control/runtime.h"
#include "control/worker.h"

#define SNAPSHOT_HOST_MAX 256 /* Linux: 65 at most */

struct snapshot_check {
    bool has_result; /* the server is checked, and has been; nothing else is good otherwise */
    bool passed;
    uint64_t passes;
    uint64_t failures;
    uint64_t duration; /* ms, the last one */
    uint64_t age;      /* ms, since it ended */
    const char *why;   /* how it ended */
};

/* As server_view() has it. */
struct snapshot_view {
    const char *status;
    const char *why;
};

struct snapshot_server {
    const char *pool;
    const char *name;
    const char *address; /* several servers may have a name, or an address */
    enum config_state state;
    struct snapshot_view view;
    bool up; /* neither checks nor failed connects say otherwise */
    bool backup;
    unsigned weight;
    uint64_t active;
    uint64_t max_connections; /* 0: no limit */
    uint64_t counter[SERVER_COUNTERS];
    struct snapshot_check check;
};

/* Figures of a pool as a whole. */
struct snapshot_sums {
    uint64_t sessions; /* those that wait, and those on servers that have left, as well */
    uint64_t waiting;
    uint64_t failures;                 /* sessions that it could not serve, or not to their end */
    uint64_t counter[SERVER_COUNTERS]; /* of its servers together */
    size_t usable;                     /* servers */
};

struct snapshot_pool {
    const char *name;
    const char *fallback; /* NULL: none */
    const char *file;     /* NULL: it has servers */
    const char *balance;
    struct snapshot_sums sums;
    enum severity severity;         /* of what is wrong with it */
    struct snapshot_server *server; /* of those of the snapshot */
    size_t server_count;
};

struct snapshot_listener {
    const char *name;
    const char *pool;
    const char *bind; /* as the configuration says it */
    uint64_t active;
    uint64_t max_connections;  /* 0: no limit */
    enum accept_reason paused; /* why it does not accept; ACCEPT_OPEN: it does */
    uint64_t connections;
    uint64_t refused[SESSION_ENDS];
};

/* How sessions of a listener, in a pool, have ended. */
struct snapshot_ended {
    const char *listener;
    const char *pool;
    uint64_t ended[SESSION_ENDS];
};

enum snapshot_health {
    SNAPSHOT_OK,
    SNAPSHOT_STARTING,
    SNAPSHOT_DRAINING,
    SNAPSHOT_NO_SERVER, /* no listener has a server, or a file, for its clients */
};

struct snapshot {
    uint64_t time;   /* ms since the epoch, by a clock that may be set */
    uint64_t began;  /* likewise: uptime before that */
    uint64_t uptime; /* ms, upgrades do not change it */
    enum snapshot_health health;
    uint64_t reloads;
    uint64_t failed_reloads;
    unsigned generation;
    uint64_t sessions;
    uint64_t max_sessions;
    enum accept_reason paused; /* by a limit of the process; ACCEPT_OPEN: by none */
    uint64_t max_pipes;
    size_t workers; /* at work; there may be more that finish */
    struct worker_stats *worker;
    uint64_t *worker_hangs; /* ms that it has not answered; 0: it does */
    size_t worker_count;
    struct worker_totals totals;
    struct snapshot_listener *listener;
    size_t listener_count;
    struct snapshot_ended *ended; /* of each listener and each pool that its clients can reach */
    size_t ended_count;
    struct snapshot_pool *pool;
    size_t pool_count;
    struct snapshot_server *server; /* of all pools, pool after pool */
    size_t server_count;
    struct arena texts;
    bool incomplete; /* memory ran out while it was taken */
    struct problem_list problems;
    char host[SNAPSHOT_HOST_MAX];
};

/* Returns 0 or -ENOMEM. */
int snapshot_take(struct runtime *rt, struct snapshot *s);
void snapshot_free(struct snapshot *s);

void snapshot_sums(const struct pool *p, uint64_t now, struct snapshot_sums *sums);

/* A listener serves when any pool that its clients can reach, by a route or as a fallback, has a
 * usable server or is a file; as long as none does, servers whose first check is not over mean that
 * it is starting. */
enum snapshot_health snapshot_health(struct runtime *rt);
/* "ok", "starting", "draining", "no server". */
const char *snapshot_health_name(enum snapshot_health health);

#endif
