#include "hist.h"

static unsigned bucket_of(uint64_t v)
{
    unsigned shift;

    if (v < HIST_STEPS)
        return (unsigned)v;
    shift = 63u - (unsigned)__builtin_clzll(v) - 6;
    unsigned i = (shift + 1) * HIST_STEPS + (unsigned)(v >> shift) - HIST_STEPS;
    return i < HIST_SIZE ? i : HIST_SIZE - 1;
}

static uint64_t middle_of(unsigned i)
{
    unsigned shift;

    if (i < HIST_STEPS)
        return i;
    shift = i / HIST_STEPS - 1;
    return ((uint64_t)(i % HIST_STEPS + HIST_STEPS) << shift) + ((UINT64_C(1) << shift) >> 1);
}

void hist_add(struct hist *h, uint64_t value)
{
    h->count++;
    h->bucket[bucket_of(value)]++;
    if (value > h->max)
        h->max = value;
}

uint64_t hist_quantile(const struct hist *h, double share)
{
    uint64_t seen = 0;
    uint64_t want = (uint64_t)((double)h->count * share);

    for (unsigned i = 0; i < HIST_SIZE; i++) {
        seen += h->bucket[i];
        if (seen > want)
            return middle_of(i) < h->max ? middle_of(i) : h->max;
    }
    return h->max;
}
