#include "base/grace.h"

#include <sched.h>
#include <stdlib.h>

#ifdef __SANITIZE_THREAD__
/* gcc's ThreadSanitizer does not know fences. It does not need them here: the acquire and release
 * operations order all data that is passed between threads here. */
#pragma GCC diagnostic ignored "-Wtsan"
#endif

struct grace_item {
    STAILQ_ENTRY(grace_item) in_retired;
    uint64_t retire_epoch;
    void (*release)(void *data);
    void *data;
};

void grace_init(struct grace *g)
{
    atomic_init(&g->epoch, 1);
    LIST_INIT(&g->readers);
    STAILQ_INIT(&g->retired);
}

void grace_fini(struct grace *g)
{
    while (grace_reclaim(g)) /* without readers each grace period is over at once */
        ;
}

void grace_register(struct grace *g, struct grace_reader *r)
{
    uint64_t epoch = atomic_load_explicit(&g->epoch, memory_order_relaxed);
    atomic_store_explicit(&r->seen, epoch, memory_order_relaxed);
    LIST_INSERT_HEAD(&g->readers, r, in_grace);
}

void grace_unregister(struct grace *g, struct grace_reader *r)
{
    (void)g;
    LIST_REMOVE(r, in_grace);
}

void grace_offline(struct grace_reader *r)
{
    /* release: as in grace_quiescent() */
    atomic_store_explicit(&r->seen, UINT64_MAX, memory_order_release);
}

void grace_online(const struct grace *g, struct grace_reader *r)
{
    uint64_t epoch = atomic_load_explicit(&g->epoch, memory_order_relaxed);
    atomic_store_explicit(&r->seen, epoch, memory_order_relaxed);
    /* seq_cst, with the fence in grace_begin(): either control sees that the reader is online, or
     * the reader sees the new pointers */
    atomic_thread_fence(memory_order_seq_cst);
}

static bool grace_has_passed(const struct grace *g, uint64_t retire_epoch)
{
    const struct grace_reader *r;
    LIST_FOREACH(r, &g->readers, in_grace)
        /* acquire: the reader's reads before its quiescent moment are done before the release */
        if (atomic_load_explicit(&r->seen, memory_order_acquire) < retire_epoch)
            return false;
    return true;
}

/* Begins a grace period. A reader that has seen its epoch holds none of the old pointers. */
static uint64_t grace_begin(struct grace *g)
{
    /* release: the new pointers were published before; pairs with grace_quiescent() */
    uint64_t retire_epoch = atomic_fetch_add_explicit(&g->epoch, 1, memory_order_release) + 1;
    struct grace_reader *r;
    atomic_thread_fence(memory_order_seq_cst); /* as said in grace_online() */
    LIST_FOREACH(r, &g->readers, in_grace)
        r->wake(r);
    return retire_epoch;
}

void grace_retire(struct grace *g, void (*release)(void *data), void *data)
{
    uint64_t retire_epoch = grace_begin(g);
    struct grace_item *item = malloc(sizeof *item);
    if (item != NULL) {
        *item =
            (struct grace_item){ .retire_epoch = retire_epoch, .release = release, .data = data };
        STAILQ_INSERT_TAIL(&g->retired, item, in_retired);
        return;
    }
    while (!grace_has_passed(g, retire_epoch))
        sched_yield();
    release(data);
}

bool grace_reclaim(struct grace *g)
{
    struct grace_item *item;
    while ((item = STAILQ_FIRST(&g->retired)) != NULL && grace_has_passed(g, item->retire_epoch)) {
        STAILQ_REMOVE_HEAD(&g->retired, in_retired);
        item->release(item->data);
        free(item);
    }
    return !STAILQ_EMPTY(&g->retired);
}
