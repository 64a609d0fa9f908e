#include "base/grace.h"

#include <sched.h>
#include <stdlib.h>

struct grace_item {
    STAILQ_ENTRY(grace_item) in_retired;
    uint64_t since;
    void (*release)(void *what);
    void *what;
};

void grace_init(struct grace *g)
{
    atomic_init(&g->now, 1);
    LIST_INIT(&g->readers);
    STAILQ_INIT(&g->retired);
}

void grace_fini(struct grace *g)
{
    while (grace_collect(g)) /* with no reader left nothing waits */
        ;
}

void grace_join(struct grace *g, struct grace_reader *r)
{
    atomic_store(&r->seen, atomic_load(&g->now));
    LIST_INSERT_HEAD(&g->readers, r, in_grace);
}

void grace_leave(struct grace *g, struct grace_reader *r)
{
    (void)g;
    LIST_REMOVE(r, in_grace);
}

void grace_offline(struct grace_reader *r)
{
    atomic_store(&r->seen, UINT64_MAX);
}

/* Either control sees that it reads, or it reads what was published by then: the fence keeps its
 * loads behind the store. */
void grace_online(const struct grace *g, struct grace_reader *r)
{
    atomic_store(&r->seen, atomic_load(&g->now));
    atomic_thread_fence(memory_order_seq_cst);
}

static bool has_passed(const struct grace *g, uint64_t since)
{
    const struct grace_reader *r;
    LIST_FOREACH(r, &g->readers, in_grace)
        if (atomic_load_explicit(&r->seen, memory_order_acquire) < since)
            return false;
    return true;
}

/* From here on a reader that is quiet has not seen what was unpublished before. */
static uint64_t begin(struct grace *g)
{
    uint64_t since = atomic_fetch_add(&g->now, 1) + 1;
    struct grace_reader *r;
    LIST_FOREACH(r, &g->readers, in_grace)
        r->wake(r);
    return since;
}

void grace_retire(struct grace *g, void (*release)(void *what), void *what)
{
    uint64_t since = begin(g);
    struct grace_item *item = malloc(sizeof *item);
    if (item != NULL) {
        *item = (struct grace_item){ .since = since, .release = release, .what = what };
        STAILQ_INSERT_TAIL(&g->retired, item, in_retired);
        return;
    }
    while (!has_passed(g, since))
        sched_yield();
    release(what);
}

bool grace_collect(struct grace *g)
{
    struct grace_item *item;
    while ((item = STAILQ_FIRST(&g->retired)) != NULL && has_passed(g, item->since)) {
        STAILQ_REMOVE_HEAD(&g->retired, in_retired);
        item->release(item->what);
        free(item);
    }
    return !STAILQ_EMPTY(&g->retired);
}
