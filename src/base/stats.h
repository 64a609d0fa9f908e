/* Counters, gauges and histograms that one thread writes and any thread may read.
 *
 * Each worker counts for itself; whoever wants a sum reads all workers and adds. The atomics are
 * there for the reader's sake: with one writer a relaxed load and store is a plain addition, with
 * no locked instruction on the way of a byte.
 */
#ifndef ZPROXY_BASE_STATS_H
#define ZPROXY_BASE_STATS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

struct counter {
    _Atomic uint64_t value;
};

/* For the owning thread alone. */
static inline void counter_add(struct counter *c, uint64_t n)
{
    uint64_t v = atomic_load_explicit(&c->value, memory_order_relaxed);
    atomic_store_explicit(&c->value, v + n, memory_order_relaxed);
}

/* For any thread. */
static inline uint64_t counter_get(const struct counter *c)
{
    return atomic_load_explicit(&c->value, memory_order_relaxed);
}

/* What goes up and down. */
struct gauge {
    _Atomic uint64_t value;
};

/* For the owning thread alone. */
static inline void gauge_add(struct gauge *g, int64_t change)
{
    uint64_t v = atomic_load_explicit(&g->value, memory_order_relaxed);
    atomic_store_explicit(&g->value, v + (uint64_t)change, memory_order_relaxed);
}

/* For any thread. */
static inline uint64_t gauge_get(const struct gauge *g)
{
    return atomic_load_explicit(&g->value, memory_order_relaxed);
}

/* How many values were how large. The bounds grow by a fixed factor, a power of two: a value is
 * counted by a few shifts, and relative accuracy is the same for small and large ones. */
#define HISTOGRAM_BOUNDS 16

struct histogram_scale {
    uint64_t first; /* the lowest bound */
    unsigned shift; /* each one is the one before << shift */
};

struct histogram {
    struct counter bucket[HISTOGRAM_BOUNDS + 1]; /* up to and with bound i; the last: above all */
    struct counter sum;
};

/* The same at one moment, or summed over several. */
struct histogram_totals {
    uint64_t bucket[HISTOGRAM_BOUNDS + 1];
    uint64_t sum;
};

uint64_t histogram_bound(const struct histogram_scale *scale, size_t i);

/* For the owning thread alone. */
void histogram_add(struct histogram *h, const struct histogram_scale *scale, uint64_t value);

/* For any thread: adds h to the sum. What is written meanwhile may be in one of its figures and
 * not yet in another. */
void histogram_add_totals(const struct histogram *h, struct histogram_totals *sum);

#endif
