/* Load balancing policies: which server of a pool the next session goes to.
 *
 * A policy orders the servers; the caller decides whether a server can be acquired, since the
 * caller knows which servers the session has tried. A policy's state is shared by all workers
 * without locks. A policy reads the weight, the sessions and the state of a server from the atomics
 * in struct server.
 */
#ifndef ZPROXY_BALANCE_POLICY_H
#define ZPROXY_BALANCE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"
#include "config/config.h"

struct pool_tried;

/* A request for a server: from a session, or from "explain". */
struct pick_request {
    uint64_t key;                   /* hash of the client's address, for "hash" */
    uint64_t now;                   /* ms */
    const struct pool_tried *tried; /* servers that the session could not reach; NULL: none */
    uint64_t waiting; /* length of the queue, for a session from the queue: server_holds_back() */
    bool due;         /* the end of its wait: it may pass those that wait before it */
    const struct server *holds; /* for peek: the session has a slot on it, which counts as free */
};

/* Acquires a slot on srv for the session. expected: as for server_acquire(). */
typedef enum server_acquired policy_acquire_fn(const struct pick_request *r, struct server *srv,
                                               uint64_t expected);

struct policy_ops {
    /* In "explain": why a usable server was not picked. */
    const char *not_picked;
    /* True: the policy's state includes servers that are down. False: the server set leaves them
     * out, so that a pick need not skip them. */
    bool holds_ineligible;

    /* Allocates the state for servers[count], which outlive it, with their present weights.
     * previous: the state of the same policy that the new one replaces and continues; may be NULL.
     * Returns NULL when out of memory. */
    void *(*create)(struct server *const *servers, size_t count, const void *previous);
    void (*destroy)(void *state);
    /* Returns the index of the acquired server, or -1 when no server can be acquired. From any
     * thread. */
    long (*pick)(void *state, const struct pick_request *r, policy_acquire_fn *acquire);
    /* Returns what pick() would return now ("random": what it might return), and does not advance
     * the rotation. could_acquire returns what acquire would return, and acquires nothing. From any
     * thread. */
    long (*peek)(const void *state, const struct pick_request *r, policy_acquire_fn *could_acquire);
    /* The sessions, the share or the usability of server i changed, and with them perhaps its place
     * in the order. NULL if the order does not depend on these. From any thread. */
    void (*changed)(void *state, size_t i, uint64_t now);
    /* A hash of which key belongs to which server, the same on every machine (table.h). NULL if the
     * key does not decide. */
    uint64_t (*digest)(const void *state);
};

const struct policy_ops *policy_find(enum config_balance balance);

extern const struct policy_ops policy_round_robin;
extern const struct policy_ops policy_least_conn;
extern const struct policy_ops policy_random;
extern const struct policy_ops policy_hash;
extern const struct policy_ops policy_first;
extern const struct policy_ops policy_least_time;

#endif
