#include "balance/refresh.h"

static uint64_t bounded(const struct refresh *r, uint64_t ms)
{
    if (ms > r->max)
        ms = r->max;
    return ms < r->min ? r->min : ms;
}

uint64_t refresh_answered(struct refresh *r, uint32_t ttl)
{
    r->failed = 0;
    return bounded(r, ttl * UINT64_C(1000));
}

uint64_t refresh_failed(struct refresh *r, uint32_t ttl)
{
    uint64_t answered = bounded(r, ttl * UINT64_C(1000));
    r->failed = bounded(r, r->failed * 2);
    return r->failed < answered ? r->failed : answered;
}
