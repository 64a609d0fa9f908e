#include "balance/policy.h"

const struct policy_ops *policy_find(enum config_balance balance)
{
    switch (balance) {
    case CONFIG_BALANCE_ROUND_ROBIN:
        return &policy_round_robin;
    }
    return NULL;
}
