#include "base/stats.h"

uint64_t histogram_bound(const struct histogram_scale *scale, size_t i)
{
    return scale->first << (scale->shift * i);
}

void histogram_add(struct histogram *h, const struct histogram_scale *scale, uint64_t value)
{
    size_t i = 0;
    while (i < HISTOGRAM_BOUNDS && value > histogram_bound(scale, i))
        i++;
    counter_add(&h->bucket[i], 1);
    counter_add(&h->sum, value);
}

void histogram_add_totals(const struct histogram *h, struct histogram_totals *sum)
{
    for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
        sum->bucket[i] += counter_get(&h->bucket[i]);
    sum->sum += counter_get(&h->sum);
}
