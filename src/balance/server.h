/* One server of a pool: address, weight, state, and how many sessions are on it.
 *
 * Shared by all threads: what changes is a few C11 atomics, the rest is const. Workers find it in
 * the pool's set of servers; one that has left the set is freed when its last session has gone and
 * no worker can still be looking at it (base/grace.h): the pool sees to that.
 */
#ifndef ZPROXY_BALANCE_SERVER_H
#define ZPROXY_BALANCE_SERVER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "base/addr.h"
#include "base/stats.h"
#include "config/config.h"

#define SERVER_FULL_SHARE 256u

/* The names that a server has had, the present one first: they are kept as long as the server is,
 * since workers may be writing one into the log. */
struct server_name {
    struct server_name *former;
    char text[];
};

/* The counters of a server, in the order in which a handover carries them. metrics/stats_json.c
 * has their names in /stats.json, metrics/metrics.c their metrics. */
enum server_counter {
    SERVER_CONNECTIONS, /* sessions that reached it */
    SERVER_FAILURES,    /* connects that failed */
    SERVER_RECEIVED,    /* bytes from it to clients */
    SERVER_SENT,        /* bytes from clients to it */
    SERVER_COUNTERS,
};

struct check;

struct server {
    _Atomic(struct server_name *) name;
    struct addr addr;
    bool same_port; /* addr has no port: the one that the client came to */
    bool backup;    /* so its pool has it; the control thread's */
    bool added;     /* at run time; the control thread's */
    struct addr check_address;
    _Atomic bool may_self_connect; /* self_connect.h: its connections are looked at */
    uint32_t serial;               /* no other server of this process has had it */

    /* what the user wants */
    _Atomic uint32_t weight;          /* 1..256 */
    _Atomic uint64_t max_connections; /* 0: no limit */
    _Atomic int state;                /* enum config_state */

    /* what is known of it */
    _Atomic uint64_t active;    /* sessions, connecting ones counted */
    _Atomic bool up;            /* the verdict of the checks; true without checks */
    _Atomic uint64_t out_until; /* ms; taken out after failed connects. 0: it is not */
    _Atomic uint64_t on_trial;  /* the out_until whose end a session finds out about */
    _Atomic uint64_t
        slow_start_began; /* ms; since when its share has been growing. 0: full share */
    _Atomic uint64_t slow_start_length; /* ms */
    _Atomic uint32_t slow_start_credit; /* of turns forgone while the share grows */
    _Atomic uint64_t fails;             /* failed connects since fails_began */
    _Atomic uint64_t fails_began;       /* ms */
    _Atomic uint64_t refused_client;    /* a hash: passive_check_refuses_all() */
    _Atomic uint64_t refused_at;        /* ms */
    _Atomic uint32_t slot;              /* where the policy has it in the current set */

    /* the log's */
    _Atomic uint64_t failure_logged; /* when a failed connect was last logged, ms; 0: never */
    _Atomic uint64_t suppressed;     /* failed connects not logged since */

    struct counter counter[SERVER_COUNTERS]; /* shared: several workers write them */

    /* the control thread's */
    struct check *check; /* of the health checks; NULL: it has none */

    SLIST_ENTRY(server) in_removed; /* of the pool: it has left the set */
};

SLIST_HEAD(removed_servers, server);

/* A server of its own, up and ready as conf says. at: its address, where conf has a name only.
 * NULL when out of memory. */
struct server *server_new(const struct config_server *conf, const struct addr *at);
void server_free(struct server *srv);

const char *server_name(const struct server *srv);
bool server_is_named(const struct server *srv, const char *name);
/* NULL when out of memory; free() it, or give it to a server. */
struct server_name *server_name_new(const char *name);
void server_rename(struct server *srv, struct server_name *name);

/* Whether new sessions may be sent there at all: ready, up, and not taken out; or taken out for
 * long enough, and nobody is trying it. A full server is still usable. now in ms. */
bool server_is_usable(const struct server *srv, uint64_t now);

/* The same, whatever failed connects there were. */
bool server_is_eligible(const struct server *srv);

bool server_is_full(const struct server *srv);

/* More than max_connections are on it, which can be since the limit was lowered. */
bool server_is_over_limit(const struct server *srv);

uint64_t server_active(const struct server *srv);

/* 1..256. */
unsigned server_weight(const struct server *srv);

/* How much of its weight it is given: 1..SERVER_FULL_SHARE; less than full for a while after it
 * has recovered (slow start). */
unsigned server_share(const struct server *srv, uint64_t now);

/* When time alone will have changed what the two functions above say, ms; UINT64_MAX: it will not.
 * A share that grows does so in steps. */
uint64_t server_changes_at(const struct server *srv, uint64_t now);

/* For policies that go by turns: whether the server takes this turn, or forgoes it since its share
 * is not full yet. Of SERVER_FULL_SHARE turns in a row it takes as many as its share. */
bool server_takes_turn(struct server *srv, uint64_t now);
/* The same for who only asks: the turn is not taken. */
bool server_would_take_turn(const struct server *srv, uint64_t now);

/* Begins a slow start of so many ms; 0: none. */
void server_start_slow_start(struct server *srv, uint64_t now, uint64_t length);

/* Takes a place for a session. expected: only if so many sessions are on it; SERVER_ANY_COUNT:
 * however many. Every place taken is given back. */
#define SERVER_ANY_COUNT UINT64_MAX
enum server_acquired {
    SERVER_ACQUIRED,
    SERVER_REFUSED, /* full, or not usable */
    SERVER_CHANGED, /* there are not as many sessions on it as expected */
};
enum server_acquired server_acquire(struct server *srv, uint64_t expected);
void server_release(struct server *srv);

/* Whether a failed connect may be logged: one a second. now in ms. *suppressed: how many were not
 * logged since the last one. */
bool server_may_log(struct server *srv, uint64_t now, uint64_t *suppressed);

#endif
