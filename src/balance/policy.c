#include "balance/policy.h"

const struct policy_ops *policy_find(enum config_balance balance)
{
    switch (balance) {
    case CONFIG_BALANCE_ROUND_ROBIN:
        return &policy_round_robin;
    case CONFIG_BALANCE_LEAST_CONN:
        return &policy_least_conn;
    case CONFIG_BALANCE_RANDOM:
        return &policy_random;
    case CONFIG_BALANCE_HASH:
        return &policy_hash;
    case CONFIG_BALANCE_FIRST:
        return &policy_first;
    }
    return NULL;
}
