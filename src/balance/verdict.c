#include "balance/verdict.h"

void verdict_init(struct verdict *v, bool up)
{
    *v = (struct verdict){ .up = up };
}

void verdict_unsettle(struct verdict *v)
{
    v->settled = false;
}

static void count(struct verdict *v, bool passed)
{
    v->streak = v->streak > 0 && v->passed == passed ? v->streak + 1 : 1;
    v->passed = passed;
    if (passed)
        v->successes++;
    else
        v->failures++;
}

bool verdict_add(struct verdict *v, bool passed, uint64_t rise, uint64_t fall, uint64_t now)
{
    uint64_t needed = passed ? rise : fall;
    count(v, passed);
    v->checked = now;
    bool enough = !v->settled || v->streak >= needed;
    v->settled = true;
    if (v->up == passed || !enough)
        return false;
    v->up = passed;
    v->changed = now;
    return true;
}
