/* Which of several servers is next: one small file each behind one table.
 *
 * A policy knows weights and an order, not servers: whether a server can be had is asked of the
 * caller. Its state is shared by all workers, without locks.
 */
#ifndef ZPROXY_BALANCE_POLICY_H
#define ZPROXY_BALANCE_POLICY_H

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/* Takes server i for the caller, or says that it cannot be had. */
typedef bool policy_take_fn(void *arg, size_t i);

struct policy_ops {
    /* weights[count], each 1..256. NULL when out of memory. */
    void *(*create)(const unsigned *weights, size_t count);
    void (*destroy)(void *state);
    /* again: not the session's first attempt. Returns the server that was taken, or -1 when none
     * can be had. */
    long (*pick)(void *state, bool again, policy_take_fn *take, void *arg);
};

const struct policy_ops *policy_find(enum config_balance balance);

extern const struct policy_ops policy_round_robin;

#endif
