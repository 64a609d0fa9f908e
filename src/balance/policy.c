#include "balance/policy.h"

static const struct policy_ops *const policies[] = {
    [CONFIG_BALANCE_ROUND_ROBIN] = &policy_round_robin,
    [CONFIG_BALANCE_LEAST_CONN] = &policy_least_conn,
    [CONFIG_BALANCE_RANDOM] = &policy_random,
    [CONFIG_BALANCE_HASH] = &policy_hash,
    [CONFIG_BALANCE_FIRST] = &policy_first,
    [CONFIG_BALANCE_LEAST_TIME] = &policy_least_time,
};

const struct policy_ops *policy_find(enum config_balance balance)
{
    return policies[balance];
}
