/* Servers and a policy that chooses among them, without a pool. */
#ifndef ZPROXY_TESTS_POLICY_RIG_H
#define ZPROXY_TESTS_POLICY_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/policy.h"

#define POLICY_RIG_MAX 1001

struct policy_rig {
    const struct policy_ops *policy;
    void *state;
    struct server *servers[POLICY_RIG_MAX];
    size_t count;
    uint64_t now;
    bool refuses[POLICY_RIG_MAX]; /* the server cannot be acquired, as if it had been tried */
    _Atomic uint64_t asked;       /* how often the policy tried to acquire a server */
};

/* Servers web0, web1, … 10.0.0.1:80, 10.0.0.2:80, … Each weight is 1 where weights is NULL. Fails
 * the test when out of memory. */
void policy_rig_open(struct policy_rig *f, const struct policy_ops *policy, const unsigned *weights,
                     size_t count);
void policy_rig_close(struct policy_rig *f);

/* Another state in the place of the one there is, for the weights of now. */
void policy_rig_renew(struct policy_rig *f);

/* The server's index in servers[]. */
size_t policy_rig_index(const struct server *srv);

/* The server that gets a session, which stays on it; -1: none. */
long policy_rig_pick(struct policy_rig *f, uint64_t key);
void policy_rig_release(struct policy_rig *f, size_t i);
/* A session that has gone when the next one comes. */
long policy_rig_visit(struct policy_rig *f, uint64_t key);

/* Something about the server was changed. */
void policy_rig_changed(struct policy_rig *f, size_t i);
void policy_rig_set_up(struct policy_rig *f, size_t i, bool up);
void policy_rig_set_weight(struct policy_rig *f, size_t i, unsigned weight);
void policy_rig_set_limit(struct policy_rig *f, size_t i, uint64_t max_connections);

/* Runs so many threads to their end. */
void policy_rig_run(struct policy_rig *f, size_t threads, void *(*run)(void *policy_rig));

#endif
