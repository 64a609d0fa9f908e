/* Counters that one thread writes and any thread may read.
 *
 * Each worker counts for itself; whoever wants a sum reads all workers and adds. The atomics are
 * there for the reader's sake: with one writer a relaxed load and store is a plain addition, with
 * no locked instruction on the way of a byte.
 */
#ifndef ZPROXY_BASE_STATS_H
#define ZPROXY_BASE_STATS_H

#include <stdatomic.h>
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

#endif
