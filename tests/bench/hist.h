/* Latencies in buckets whose width grows with the value: 64 to every doubling, so that a
 * percentile is off by less than 2 %, at the price of an index and an increment. */
#ifndef BENCH_HIST_H
#define BENCH_HIST_H

#include <stdint.h>

#define HIST_STEPS 64
#define HIST_SIZE  (HIST_STEPS * 40) /* up to 2^45 ns, ten hours */

struct hist {
    uint64_t count;
    uint64_t max;
    uint32_t bucket[HIST_SIZE];
};

void hist_add(struct hist *h, uint64_t value);

/* The value that `share` (0..1) of all values stay at or below; 0 when there are none. */
uint64_t hist_quantile(const struct hist *h, double share);

#endif
