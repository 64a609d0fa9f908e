/* Which of several servers is next: one small file each behind one table.
 *
 * A policy puts servers into an order; whether a server takes the session is asked of the caller,
 * who knows which were tried before. Its state is shared by all workers, without locks; what it
 * knows of the servers it reads from their atomics.
 */
#ifndef ZPROXY_BALANCE_POLICY_H
#define ZPROXY_BALANCE_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/server.h"
#include "config/config.h"

struct policy_request {
    uint64_t key;  /* of the client: "hash" gives the same server to the same key */
    uint64_t now;  /* ms */
    bool is_retry; /* not the session's first attempt */
    bool dry_run;  /* somebody only asks: whose turn it is stays as it is, nobody is taken */
    /* Takes server i for the caller, or says why not; expected as for server_acquire(). */
    enum server_acquired (*take)(void *arg, size_t i, uint64_t expected);
    void *arg;
};

struct policy_ops {
    /* servers[count] and what they point to outlive the state; their weights are those of now.
     * previous: a state of the same policy that this one will replace, for whose turn it is; or
     * NULL. NULL when out of memory. */
    void *(*create)(struct server *const *servers, size_t count, const void *previous);
    void (*destroy)(void *state);
    /* Returns the server that was taken, or -1 when none can be had. From any thread. */
    long (*pick)(void *state, const struct policy_request *r);
    /* Something has changed that may put server i elsewhere in the order: sessions on it, its
     * share, whether it is usable. NULL where the order does not depend on it. From any thread. */
    void (*changed)(void *state, size_t i, uint64_t now);
};

const struct policy_ops *policy_find(enum config_balance balance);

extern const struct policy_ops policy_round_robin;
extern const struct policy_ops policy_least_conn;
extern const struct policy_ops policy_random;
extern const struct policy_ops policy_hash;
extern const struct policy_ops policy_first;

#endif
