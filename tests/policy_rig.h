/* A policy and its servers, without a pool. */
#ifndef ZPROXY_TESTS_POLICY_RIG_H
#define ZPROXY_TESTS_POLICY_RIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/policy.h"

#define POLICY_RIG_MAX 60000

struct policy_rig {
    const struct policy_ops *policy;
    void *state;
    struct server *servers[POLICY_RIG_MAX];
    size_t count;
    uint64_t now;
    bool refuses[POLICY_RIG_MAX]; /* the server cannot be acquired, as if it had been tried */
    _Atomic uint64_t asked;       /* how often the policy tried to acquire a server */
};

/* Makes servers web0, web1, … at 10.0.0.1:80, 10.0.0.2:80, … weights NULL: each weight is 1. */
void policy_rig_open(struct policy_rig *f, const struct policy_ops *policy, const unsigned *weights,
                     size_t count);
void policy_rig_close(struct policy_rig *f);

/* Replaces the state by a new one for the present weights. */
void policy_rig_renew(struct policy_rig *f);

/* The server's index in servers[]. */
size_t policy_rig_index(const struct server *srv);

/* Picks a server for a session, which stays on it; -1: none. */
long policy_rig_pick(struct policy_rig *f, uint64_t key);
void policy_rig_release(struct policy_rig *f, size_t i);
/* Picks a server and releases it. */
long policy_rig_visit(struct policy_rig *f, uint64_t key);

/* Tells the policy that the server changed. */
void policy_rig_changed(struct policy_rig *f, size_t i);
void policy_rig_set_up(struct policy_rig *f, size_t i, bool up);
void policy_rig_set_weight(struct policy_rig *f, size_t i, unsigned weight);
void policy_rig_set_limit(struct policy_rig *f, size_t i, uint64_t max_connections);

/* Runs threads and joins them. */
void policy_rig_run(struct policy_rig *f, size_t threads, void *(*run)(void *policy_rig));

#endif
