#include "balance/check_result.h"

void check_result_init(struct check_result *result, bool up)
{
    *result = (struct check_result){ .up = up };
}

void check_result_unsettle(struct check_result *result)
{
    result->settled = false;
}

static void check_result_count(struct check_result *result, bool passed)
{
    result->streak = result->streak > 0 && result->passed == passed ? result->streak + 1 : 1;
    result->passed = passed;
    if (passed)
        result->successes++;
    else
        result->failures++;
}

bool check_result_add(struct check_result *result, bool passed, uint64_t rise, uint64_t fall,
                      uint64_t now)
{
    uint64_t needed = passed ? rise : fall;
    check_result_count(result, passed);
    result->checked = now;
    bool enough = !result->settled || result->streak >= needed;
    result->settled = true;
    if (result->up == passed || !enough)
        return false;
    result->up = passed;
    result->changed = now;
    return true;
}
