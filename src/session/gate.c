#include "session/gate.h"

void gate_init(struct gate *g, uint64_t limit, void (*wake)(void *arg), void *arg)
{
    g->limit = limit;
    g->wake = wake;
    g->arg = arg;
    atomic_init(&g->inside, 0);
    atomic_init(&g->waiting, false);
}

static bool try_enter(struct gate *g)
{
    uint64_t inside = atomic_load(&g->inside);
    do {
        if (inside >= g->limit)
            return false;
    } while (!atomic_compare_exchange_weak(&g->inside, &inside, inside + 1));
    return true;
}

bool gate_enter(struct gate *g)
{
    if (g->limit == 0 || try_enter(g))
        return true;
    /* Whoever leaves from here on sees the flag; whoever left before is seen by this second try:
     * one of the two holds because both are sequentially consistent. */
    atomic_store(&g->waiting, true);
    return try_enter(g);
}

void gate_leave(struct gate *g)
{
    if (g->limit == 0)
        return;
    atomic_fetch_sub(&g->inside, 1);
    if (atomic_load(&g->waiting) && atomic_exchange(&g->waiting, false))
        g->wake(g->arg);
}
