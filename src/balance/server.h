/* A server of a pool: its address, its settings, its state and the number of sessions on it.
 *
 * Shared by all threads: the fields that change are C11 atomics, the others are constant or belong
 * to the control thread. Workers find a server in the server set of its pool. The pool frees a
 * server that has left the set when no session is on it and no worker can still see it
 * (base/grace.h).
 *
 * Access to the settings and the state, in this module and others, is sequentially consistent,
 * unless noted. One thread changes a server and then looks at the policy's order, the server set or
 * the queue; another has changed one of these and then looks at the server. One of the two sees
 * what the other did, so that no session waits beside a free slot.
 */
#ifndef ZPROXY_BALANCE_SERVER_H
#define ZPROXY_BALANCE_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/stats.h"
#include "config/config.h"

#define SERVER_FULL_SHARE 256u
#define SERVER_NO_SHARE   UINT64_MAX

/* A name of a server, or of its host. Former names are kept until the server is freed, since a
 * worker may be writing one to the log. */
struct server_name {
    struct server_name *former;
    char text[];
};

/* The counters of a server, in the order in which a handover carries them. metrics/stats_json.c
 * has their names in /stats.json, metrics/metrics.c their metrics. */
enum server_counter {
    SERVER_CONNECTIONS,   /* sessions that reached it */
    SERVER_FAILURES,      /* connects that failed */
    SERVER_RECEIVED,      /* bytes from it to clients */
    SERVER_SENT,          /* bytes from clients to it */
    SERVER_TLS_FULL,      /* TLS handshakes of sessions with it that were completed */
    SERVER_TLS_RESUMED,   /* those that resumed an earlier TLS session */
    SERVER_TLS_FAILED,    /* those that failed; each is a failed connect too */
    SERVER_TLS_TIMEOUT,   /* those that were not complete in time; likewise */
    SERVER_TLS_CANCELLED, /* those whose session ended before: the client left, or was closed */
    SERVER_COUNTERS,
};

/* "full", "resumed", "failed", "timeout", "cancelled"; of the counters from SERVER_TLS_FULL on. */
const char *server_handshake_name(enum server_counter counter);

struct check;

#define SERVER_FAILURE_MAX 192

struct server {
    _Atomic(struct server_name *) name; /* the present one */
    _Atomic(struct server_name *) host; /* server_host(); NULL: has never had one */
    struct addr addr;
    struct addr check_address;
    bool same_port;                /* addr has no port: the port that the client connected to */
    bool backup;                   /* in its pool; control thread only */
    bool added;                    /* at run time; control thread only */
    _Atomic bool may_self_connect; /* check its connections with relay/self_connect.h */
    uint32_t serial;               /* unique in this process */
    uint64_t address_hash;         /* the same on every machine */
    uint64_t
        identity; /* hash of name and address, the same on every machine; control thread only */

    /* settings */
    _Atomic uint32_t weight;          /* 1..256 */
    _Atomic uint64_t max_connections; /* 0: no limit */
    _Atomic int state;                /* enum config_state */

    /* state */
    _Atomic uint64_t active;    /* sessions, including connecting ones */
    _Atomic bool up;            /* by the active checks; true without checks */
    _Atomic uint64_t out_until; /* ms; out after failed connects. 0: not out */
    _Atomic uint64_t probing;   /* out_until as it was when a session began to probe; 0: none has */
    _Atomic uint64_t slow_start_began;  /* ms; 0: full share */
    _Atomic uint64_t slow_start_length; /* ms */
    _Atomic uint32_t slow_start_credit; /* from turns forgone during slow start; relaxed */
    _Atomic uint64_t fails;             /* failed connects since fails_began */
    _Atomic uint64_t fails_began;       /* ms */
    _Atomic uint64_t refused_client;    /* a hash; passive_check_refuses_all() */
    _Atomic uint64_t refused_at;        /* ms */
    _Atomic uint64_t connect_time;      /* connect_time.h, with balance = least_time */
    _Atomic uint32_t rank_index;        /* index and rank in the current server set */

    /* rebalance */
    _Atomic uint64_t fair;    /* sessions it should have; SERVER_NO_SHARE: any number */
    _Atomic uint64_t leaving; /* sessions that were closed to move elsewhere and have their slot */

    /* why the last connect failed, for people */
    pthread_mutex_t failure_lock;
    char failure[SERVER_FAILURE_MAX]; /* "": none has */

    /* log; relaxed */
    _Atomic uint64_t failure_logged; /* ms, the last failed connect that was logged; 0: none */
    _Atomic uint64_t suppressed;     /* failed connects since then that were not logged */

    struct counter counter[SERVER_COUNTERS]; /* shared: several workers write them */

    /* control thread only */
    struct check *check; /* balance/health.c; NULL: not checked */
    bool had_share;      /* in the rebalance that runs: control/rebalance_shares.h */

    SLIST_ENTRY(server) in_removed; /* pool: servers that have left the set */
};

SLIST_HEAD(removed_servers, server);

/* Allocates a server that is up, with the settings in conf. at: its address if conf has a name; may
 * be NULL. Returns NULL when out of memory. */
struct server *server_new(const struct config_server *conf, const struct addr *at);
void server_free(struct server *srv);

const char *server_name(const struct server *srv);
bool server_is_named(const struct server *srv, const char *name);
/* Allocates a name for server_rename(). Returns NULL when out of memory. */
struct server_name *server_name_new(const char *name);
/* The server owns the name from then on. For the control thread. */
void server_rename(struct server *srv, struct server_name *name);

/* The host of a line; NULL: it has an address, or is one of SRV records. */
const char *server_line_host(const struct config_server *line);
/* The host of the server in its line; NULL: it has an address, or comes from SRV. It is valid until
 * the server is freed. */
const char *server_host(const struct server *srv);
/* Likewise for its host; a name "" stands for none. */
void server_set_host(struct server *srv, struct server_name *host);

/* The identity of a server with this name and the address of srv. */
uint64_t server_identity(const struct server *srv, const char *name);

/* Whether new sessions may go to the server: it is eligible and not out after failed connects, or
 * its time out is over and no session is probing it. A full server is usable. now in ms. */
bool server_is_usable(const struct server *srv, uint64_t now);

/* Whether the server is in state ready and up, regardless of failed connects. */
bool server_is_eligible(const struct server *srv);

bool server_is_full(const struct server *srv);

/* Whether more than max_connections sessions are on the server, as after the limit was lowered. */
bool server_is_over_limit(const struct server *srv);

uint64_t server_active(const struct server *srv);

/* 1..256. */
unsigned server_weight(const struct server *srv);

/* The share of its weight that the server gets: 1..SERVER_FULL_SHARE; below SERVER_FULL_SHARE
 * during slow start. */
unsigned server_share(const struct server *srv, uint64_t now);

/* Whether a slow start holds back a session of the queue. During slow start the server gets its
 * share of the sessions that are on it or wait, up to max_connections, and one at least. */
bool server_holds_back(const struct server *srv, uint64_t waiting, uint64_t now);

/* When time alone changes the result of server_is_usable() or server_share() next, in ms, or
 * UINT64_MAX. A growing share is updated in steps. */
uint64_t server_changes_at(const struct server *srv, uint64_t now);

/* For policies with turns: whether the server takes this turn, or forgoes it because of slow start.
 * Of SERVER_FULL_SHARE turns in a row it takes as many as its share. */
bool server_takes_turn(struct server *srv, uint64_t now);
/* The result that server_takes_turn() would have. The turn is not counted. */
bool server_would_take_turn(const struct server *srv, uint64_t now);

/* Begins a slow start of length ms; 0: none. */
void server_start_slow_start(struct server *srv, uint64_t now, uint64_t length);

/* Acquires a slot for a session. expected: fail unless this many sessions are on the server;
 * SERVER_ANY_COUNT: any number. The caller releases each acquired slot. */
#define SERVER_ANY_COUNT UINT64_MAX
enum server_acquired {
    SERVER_ACQUIRED,
    SERVER_REFUSED, /* full, or not usable */
    SERVER_CHANGED, /* the number of sessions is not the expected one */
};
enum server_acquired server_acquire(struct server *srv, uint64_t expected);
void server_release(struct server *srv);

/* For a rebalance (control/rebalances.h). Sets how many sessions the server should have;
 * SERVER_NO_SHARE: any number. */
void server_set_fair(struct server *srv, uint64_t sessions);
/* Whether it has at least that many. */
bool server_has_fair_share(const struct server *srv);
/* Its sessions without those between server_leave_begin() and server_leave_end(). */
uint64_t server_staying(const struct server *srv);
/* Returns whether one more of its sessions may be closed: it has more than its share, or force. The
 * caller then closes one, and calls server_leave_end() when the slot has been released. */
bool server_leave_begin(struct server *srv, bool force);
void server_leave_end(struct server *srv);

/* Why the last connect failed that counts as a failure of the server; "": none has, in this
 * process. From any thread. */
void server_set_failure(struct server *srv, const char *why);
void server_failure(const struct server *srv, char why[SERVER_FAILURE_MAX]);

/* Whether a failed connect may be logged: one in a second for each server. now in ms. *suppressed:
 * the number of failed connects since the last logged one. */
bool server_may_log(struct server *srv, uint64_t now, uint64_t *suppressed);

#endif
