#include "balance/policy.h"

const struct policy_ops *policy_find(enum config_balance balance)
{
    switch (balance) {
    case CONFIG_BALANCE_ROUND_ROBIN:
        return &policy_round_robin;
    case CONFIG_BALANCE_LEAST_CONN:
    case CONFIG_BALANCE_RANDOM:
    case CONFIG_BALANCE_HASH:
    case CONFIG_BALANCE_FIRST:
        break;
    }
    return NULL;
}
