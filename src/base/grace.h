/* Decides when memory that other threads may still read can be freed.
 *
 * Workers read shared structures (the servers of a pool, a configuration) through a pointer,
 * without locks or reference counts. To replace such a structure the control thread publishes a new
 * pointer and retires the old structure. It is freed after a grace period: when each worker has
 * finished the wake-up in which it may have read the old pointer. A worker that sleeps is woken for
 * that.
 *
 * This is quiescent-state-based reclamation: McKenney and Slingwine, "Read-Copy Update: Using
 * Execution History to Solve Concurrency Problems" (1998).
 *
 * One thread (control) retires and reclaims; any number of threads read.
 */
#ifndef ZPROXY_BASE_GRACE_H
#define ZPROXY_BASE_GRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A thread that reads; embedded in its owner. */
struct grace_reader {
    _Atomic uint64_t seen; /* the epoch at its last quiescent moment; UINT64_MAX: offline */
    void (*wake)(struct grace_reader *r); /* called by control: the reader's thread must call
                                             grace_quiescent() soon */
    LIST_ENTRY(grace_reader) in_grace;
};

struct grace_item;
LIST_HEAD(grace_readers, grace_reader);
STAILQ_HEAD(grace_items, grace_item);

struct grace {
    _Atomic uint64_t epoch; /* each retirement adds 1 */
    struct grace_readers readers;
    struct grace_items retired; /* oldest first */
};

void grace_init(struct grace *g);
/* Releases all items. No reader may be registered. */
void grace_fini(struct grace *g);

/* Called by the control thread. At registration the reader must not hold a shared pointer. */
void grace_register(struct grace *g, struct grace_reader *r);
void grace_unregister(struct grace *g, struct grace_reader *r);

/* An offline reader reads nothing, and no grace period waits for it: its thread has not started or
 * has ended. Only the reader's own thread may take it online. */
void grace_offline(struct grace_reader *r);
void grace_online(const struct grace *g, struct grace_reader *r);

/* Called by the reader's thread once per wake-up, when it holds no shared pointer. Costs one load,
 * and one store if something was retired. */
static inline void grace_quiescent(const struct grace *g, struct grace_reader *r)
{
    /* acquire: with the new epoch the reader also sees the pointers published before it */
    uint64_t epoch = atomic_load_explicit(&g->epoch, memory_order_acquire);
    if (epoch != atomic_load_explicit(&r->seen, memory_order_relaxed))
        /* release: the reader's earlier reads are done before control sees the new value */
        atomic_store_explicit(&r->seen, epoch, memory_order_release);
}

/* Arranges that grace_reclaim() calls release(data) once no reader can hold a pointer to data.
 * Before the call the caller has replaced all shared pointers to it. Cannot fail: without memory
 * for an entry it waits for the grace period and releases data itself. */
void grace_retire(struct grace *g, void (*release)(void *data), void *data);

/* Releases the items whose grace period is over. Returns whether items are left. */
bool grace_reclaim(struct grace *g);

#endif
