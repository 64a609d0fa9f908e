#include "session/gate.h"

static uint64_t limit_of(uint64_t limit)
{
    return limit == 0 ? UINT64_MAX : limit;
}

void gate_init(struct gate *g, uint64_t limit, void (*wake)(void *arg), void *arg)
{
    g->wake = wake;
    g->arg = arg;
    atomic_init(&g->limit, limit_of(limit));
    atomic_init(&g->inside, 0);
    atomic_init(&g->waiting, false);
    atomic_init(&g->reason, ACCEPT_MAX_CONNECTIONS);
}

void gate_set_reason(struct gate *g, enum accept_reason reason)
{
    atomic_store(&g->reason, (int)reason);
}

enum accept_reason gate_reason(const struct gate *g)
{
    return (enum accept_reason)atomic_load(&g->reason);
}

static void wake_if_waiting(struct gate *g)
{
    if (atomic_load(&g->waiting) && atomic_exchange(&g->waiting, false))
        g->wake(g->arg);
}

void gate_set_limit(struct gate *g, uint64_t limit)
{
    atomic_store(&g->limit, limit_of(limit));
    wake_if_waiting(g);
}

static bool try_enter(struct gate *g)
{
    uint64_t inside = atomic_load(&g->inside);
    do {
        if (inside >= atomic_load_explicit(&g->limit, memory_order_relaxed))
            return false;
    } while (!atomic_compare_exchange_weak(&g->inside, &inside, inside + 1));
    return true;
}

bool gate_enter(struct gate *g)
{
    if (try_enter(g))
        return true;
    /* Whoever leaves from here on sees the flag; whoever left before is seen by this second try:
     * one of the two holds because both are sequentially consistent. */
    atomic_store(&g->waiting, true);
    return try_enter(g);
}

void gate_force(struct gate *g)
{
    atomic_fetch_add(&g->inside, 1);
}

void gate_leave(struct gate *g)
{
    atomic_fetch_sub(&g->inside, 1);
    wake_if_waiting(g);
}

uint64_t gate_limit(const struct gate *g)
{
    return atomic_load(&g->limit);
}

bool gate_is_full(const struct gate *g)
{
    return atomic_load(&g->inside) >= atomic_load(&g->limit);
}

uint64_t gate_inside(const struct gate *g)
{
    return atomic_load(&g->inside);
}
