/* Servers and a policy that chooses among them, without a pool. */
#ifndef ZPROXY_TESTS_FARM_H
#define ZPROXY_TESTS_FARM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/policy.h"

#define FARM_MAX 1001

struct farm {
    const struct policy_ops *policy;
    void *state;
    struct backend *servers[FARM_MAX];
    size_t count;
    uint64_t now;
    bool refuses[FARM_MAX]; /* as one does that has been tried */
    _Atomic uint64_t asked; /* how often take() was called */
};

/* Servers web0, web1, … 10.0.0.1:80, 10.0.0.2:80, … Each weight is 1 where weights is NULL. Fails
 * the test when out of memory. */
void farm_open(struct farm *f, const struct policy_ops *policy, const unsigned *weights,
               size_t count);
void farm_close(struct farm *f);

/* Another state in the place of the one there is, for the weights of now. */
void farm_renew(struct farm *f);

/* The server that gets a session, which stays on it; -1: none. */
long farm_pick(struct farm *f, uint64_t key);
void farm_release(struct farm *f, size_t i);
/* A session that has gone when the next one comes. */
long farm_visit(struct farm *f, uint64_t key);

/* Something about the server was changed. */
void farm_changed(struct farm *f, size_t i);
void farm_set_up(struct farm *f, size_t i, bool up);
void farm_set_weight(struct farm *f, size_t i, unsigned weight);
void farm_set_limit(struct farm *f, size_t i, uint64_t max_connections);

/* Runs so many threads to their end. */
void farm_run(struct farm *f, size_t threads, void *(*run)(void *farm));

#endif
