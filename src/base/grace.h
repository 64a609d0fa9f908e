/* When may something that readers could still be looking at be freed?
 *
 * Workers read shared structures (the servers of a pool, a configuration) through a pointer,
 * without locks or counts. Whoever replaces such a structure publishes the new one and retires the
 * old: it is freed when every worker has been quiet once since, that is, has finished the wake-up
 * in which it may have read the old pointer. A worker that sleeps is woken for that.
 *
 * Quiescent-state-based reclamation: McKenney and Slingwine, "Read-Copy Update: Using Execution
 * History to Solve Concurrency Problems" (1998).
 *
 * One thread (control) retires and collects; any number of threads read.
 */
#ifndef ZPROXY_BASE_GRACE_H
#define ZPROXY_BASE_GRACE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A thread that reads; embedded in its owner. */
struct grace_reader {
    _Atomic uint64_t seen;
    void (*wake)(struct grace_reader *r); /* makes it call grace_quiescent() soon; from control */
    LIST_ENTRY(grace_reader) in_grace;
};

struct grace_item;
LIST_HEAD(grace_readers, grace_reader);
STAILQ_HEAD(grace_items, grace_item);

struct grace {
    _Atomic uint64_t epoch; /* raised by each retirement */
    struct grace_readers readers;
    struct grace_items retired; /* oldest first */
};

void grace_init(struct grace *g);
/* All readers must be gone; frees what is left. */
void grace_fini(struct grace *g);

/* The reader must not hold anything yet. For the control thread. */
void grace_register(struct grace *g, struct grace_reader *r);
void grace_unregister(struct grace *g, struct grace_reader *r);

/* A reader that is offline reads nothing, and is not waited for: one whose thread does not run yet,
 * or has ended. Online is for its own thread. */
void grace_offline(struct grace_reader *r);
void grace_online(const struct grace *g, struct grace_reader *r);

/* For the reader's thread, once a wake-up, holding nothing that is shared: one load and, when
 * something was retired, one store. */
static inline void grace_quiescent(const struct grace *g, struct grace_reader *r)
{
    uint64_t epoch = atomic_load_explicit(&g->epoch, memory_order_acquire);
    if (epoch != atomic_load_explicit(&r->seen, memory_order_relaxed))
        atomic_store_explicit(&r->seen, epoch, memory_order_release);
}

/* Has release(what) called, from grace_reclaim(), when no reader can see it any more. It must not
 * be reachable for new readers. Never fails: without memory for the entry it waits here. */
void grace_retire(struct grace *g, void (*release)(void *data), void *data);

/* Releases what can be. Returns whether something is left to wait for. */
bool grace_reclaim(struct grace *g);

#endif
