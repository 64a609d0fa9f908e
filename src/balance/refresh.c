#include "balance/refresh.h"

static uint64_t bounded(uint64_t ms, uint64_t min, uint64_t max)
{
    if (ms < min)
        ms = min;
    return ms > max ? max : ms;
}

uint64_t refresh_answered(const struct refresh *r, uint32_t ttl)
{
    return bounded(ttl * UINT64_C(1000), r->min, r->max);
}

uint64_t refresh_empty(const struct refresh *r, uint32_t ttl)
{
    return bounded(ttl * UINT64_C(1000), r->min, r->retry);
}

uint64_t refresh_failed(const struct refresh *r, uint64_t *last)
{
    *last = bounded(*last * 2, r->retry, REFRESH_RETRIES * r->retry);
    return *last;
}
