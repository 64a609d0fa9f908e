/* All figures of the process at one moment: for /metrics, /stats.json and the status page.
 *
 * The control thread reads the counters that workers keep; workers do nothing for it. A snapshot
 * holds no pointer to other objects of the process, so that a long answer can be written from it in
 * pieces while servers and configurations come and go.
 */
#ifndef ZPROXY_METRICS_SNAPSHOT_H
#define ZPROXY_METRICS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/addr.h"
#include "base/arena.h"
#include "command/server_view.h"
#include "config/config.h"
#include "control/healthz.h"
#include "control/problems.h"
#include "control/runtime.h"
#include "control/worker.h"

#define SNAPSHOT_HOST_MAX 256 /* Linux: 65 at most */

struct snapshot_check {
    bool has_result; /* false: the server has not been checked, and the other fields are unset */
    bool passed;
    uint64_t passes;
    uint64_t failures;
    uint64_t duration; /* of the last check, ms */
    uint64_t age;      /* since it ended, ms */
    const char *why;   /* its result */
};

/* As server_view() returns it. */
struct snapshot_view {
    const char *status;
    const char *why;
};

struct snapshot_server {
    const char *pool;
    const char *name;
    const char *address; /* name and address together are unique in a pool */
    enum config_state state;
    struct snapshot_view view;
    bool up; /* neither health checks nor failed connects have taken it out */
    bool backup;
    bool tls; /* sessions speak TLS to it */
    unsigned weight;
    uint64_t active;
    uint64_t max_connections; /* 0: no limit */
    uint64_t connect_time;    /* average, µs; 0: unknown, or not kept */
    uint64_t counter[SERVER_COUNTERS];
    struct snapshot_check check;
};

/* The figures of a pool as a whole. */
struct snapshot_sums {
    uint64_t sessions; /* including those that wait, and those on removed servers */
    uint64_t waiting;
    uint64_t failures;                 /* sessions that failed: session_end_is_failure() */
    uint64_t counter[SERVER_COUNTERS]; /* sums over its servers */
    size_t usable;                     /* servers that new sessions may be sent to */
};

/* Of control/rebalances.h. */
struct snapshot_rebalance {
    bool running; /* false: the other fields are 0 */
    uint64_t closed;
    uint64_t to_close;
    uint64_t left; /* ms */
};

struct snapshot_pool {
    const char *name;
    const char *fallback; /* NULL: none */
    const char *file;     /* NULL: the pool has servers */
    const char *balance;
    char table[TABLE_TEXT_SIZE]; /* pool_table(); "": the pool has a file */
    char table_now[TABLE_TEXT_SIZE];
    bool paused;
    bool tls;                     /* to its servers */
    const char *certificate_name; /* the first one of its client certificate; NULL: it has none */
    const char *certificate_type; /* of its key; static */
    time_t certificate_not_after;
    struct snapshot_rebalance rebalance;
    struct snapshot_sums sums;
    enum severity severity;         /* of its worst problem */
    struct snapshot_server *server; /* points into snapshot.server */
    size_t server_count;
};

struct snapshot_certificate {
    const char *name;  /* the first one that it is for; "": none */
    const char *names; /* all, with commas */
    const char *file;
    const char *type; /* of its key; static */
    time_t not_before;
    time_t not_after;
    bool hidden; /* an earlier one has the same name and type */
};

struct snapshot_listener {
    const char *name;
    const char *pool;
    const char *bind; /* as the configuration has it */
    uint64_t active;
    uint64_t max_connections;  /* 0: no limit */
    enum accept_reason paused; /* why it does not accept; ACCEPT_OPEN: it accepts */
    enum healthz health;
    enum health_override health_override;
    uint64_t connections;
    uint64_t refused[SESSION_ENDS];
    bool tls;                                 /* TLS of clients ends there */
    struct snapshot_certificate *certificate; /* points into snapshot.certificate */
    size_t certificate_count;
    uint64_t handshakes[TLS_HANDSHAKES];
};

/* How the sessions of a listener have ended in a pool. */
struct snapshot_ended {
    const char *listener;
    const char *pool;
    uint64_t ended[SESSION_ENDS];
};

struct snapshot {
    uint64_t time;   /* ms since the epoch, CLOCK_REALTIME */
    uint64_t began;  /* time - uptime */
    uint64_t uptime; /* ms; goes on over upgrades */
    enum healthz health;
    enum health_override health_override;
    uint64_t reloads;
    uint64_t failed_reloads;
    unsigned generation;
    uint64_t sessions;
    uint64_t max_sessions;
    enum accept_reason
        paused; /* the limit of the process that stops accepting; ACCEPT_OPEN: none */
    uint64_t max_pipes;
    size_t workers; /* those that accept; worker_count includes those that drain */
    struct worker_stats *worker;
    uint64_t *worker_hangs; /* ms since the worker stopped answering; 0: it answers */
    size_t worker_count;
    struct worker_totals totals;
    struct snapshot_listener *listener;
    size_t listener_count;
    struct snapshot_certificate *certificate;
    size_t certificate_count;
    struct snapshot_ended *ended; /* for each listener and each pool that its clients can reach */
    size_t ended_count;
    struct snapshot_pool *pool;
    size_t pool_count;
    struct snapshot_server *server; /* of all pools, in the order of pool[] */
    size_t server_count;
    struct arena texts;
    bool incomplete; /* memory ran out in snapshot_take() */
    struct problem_list problems;
    const char *node;
    char host[SNAPSHOT_HOST_MAX];
};

/* Both for the control thread. Take returns 0, and the caller frees *s; or -ENOMEM. */
int snapshot_take(struct runtime *rt, struct snapshot *s);
void snapshot_free(struct snapshot *s);

/* The sums of one pool; now: ms of uv_now(). */
void snapshot_sums(const struct pool *p, uint64_t now, struct snapshot_sums *sums);

#endif
