/* Counters, gauges and histograms that any thread may read while they are written.
 *
 * All operations are relaxed: a figure orders no other memory, and a reader may see one figure
 * before and another after the same event.
 *
 * Most figures have one writer: each worker keeps its own, and a reader adds up those of all
 * workers. For one writer a relaxed load and store is a plain addition, without a locked
 * instruction, so that counting is cheap even for each message.
 */
#ifndef ZPROXY_BASE_STATS_H
#define ZPROXY_BASE_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* A number that only grows. */
struct counter {
    _Atomic uint64_t value;
};

/* For a counter that one thread writes; called by that thread. */
static inline void counter_add(struct counter *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, v + n, memory_order_relaxed);
}

/* For a counter that several threads write; from any thread. */
static inline void counter_add_shared(struct counter *c, uint64_t n)
{
    atomic_fetch_add_explicit(&c->value, n, memory_order_relaxed);
}

/* Sets the value that a former process has counted. No other thread may write yet. */
static inline void counter_set(struct counter *c, uint64_t n)
{
    atomic_store_explicit(&c->value, n, memory_order_relaxed);
}

/* From any thread. */
static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* A number that goes up and down, written by one thread. */
struct gauge {
    _Atomic uint64_t value;
};

/* Called by the thread that writes the gauge. */
static inline void gauge_add(struct gauge *g, int64_t change)
{
    uint64_t v = atomic_load_explicit(&g->value, memory_order_relaxed);
    atomic_store_explicit(&g->value, v + (uint64_t)change, memory_order_relaxed);
}

/* From any thread. */
static inline uint64_t gauge_get(const struct gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

/* A histogram counts values by size. Each bound is the one before times a power of two, so that a
 * value finds its bucket by a few shifts, and small and large values are distinguished equally
 * well.
 */
#define HISTOGRAM_BOUNDS 16

struct histogram_scale {
    uint64_t first; /* the lowest bound */
    unsigned shift; /* bound i is first << (shift * i) */
};

/* Written by one thread. */
struct histogram {
    struct counter bucket[HISTOGRAM_BOUNDS + 1]; /* values up to bound i; the last: larger ones */
    struct counter sum;                          /* of all values */
};

/* A histogram at one moment, or the sum of several. */
struct histogram_totals {
    uint64_t bucket[HISTOGRAM_BOUNDS + 1];
    uint64_t sum;
};

/* Bound i, from 0 to HISTOGRAM_BOUNDS - 1. */
uint64_t histogram_bound(const struct histogram_scale *scale, size_t i);

/* Called by the thread that writes the histogram. */
void histogram_add(struct histogram *h, const struct histogram_scale *scale, uint64_t value);

/* Adds h to *sum; from any thread. A value that is added meanwhile may be counted in its bucket
 * and not yet in the sum. */
void histogram_add_totals(const struct histogram *h, struct histogram_totals *sum);

#endif
