#include "session/conn_limit.h"

static uint64_t max_of(uint64_t max)
{
    return max == 0 ? UINT64_MAX : max;
}

void conn_limit_init(struct conn_limit *l, uint64_t max, void (*wake)(void *arg), void *arg)
{
    l->wake = wake;
    l->arg = arg;
    atomic_init(&l->max, max_of(max));
    atomic_init(&l->used, 0);
    atomic_init(&l->waiting, false);
    atomic_init(&l->reason, ACCEPT_MAX_CONNECTIONS);
}

void conn_limit_set_reason(struct conn_limit *l, enum accept_reason reason)
{
    atomic_store(&l->reason, (int)reason);
}

enum accept_reason conn_limit_reason(const struct conn_limit *l)
{
    return (enum accept_reason)atomic_load(&l->reason);
}

static void wake_if_waiting(struct conn_limit *l)
{
    if (atomic_load(&l->waiting) && atomic_exchange(&l->waiting, false))
        l->wake(l->arg);
}

void conn_limit_set_max(struct conn_limit *l, uint64_t max)
{
    atomic_store(&l->max, max_of(max));
    wake_if_waiting(l);
}

static bool try_acquire(struct conn_limit *l)
{
    uint64_t used = atomic_load(&l->used);
    do {
        if (used >= atomic_load_explicit(&l->max, memory_order_relaxed))
            return false;
    } while (!atomic_compare_exchange_weak(&l->used, &used, used + 1));
    return true;
}

bool conn_limit_acquire(struct conn_limit *l)
{
    if (try_acquire(l))
        return true;
    /* Whoever leaves from here on sees the flag; whoever left before is seen by this second try:
     * one of the two holds because both are sequentially consistent. */
    atomic_store(&l->waiting, true);
    return try_acquire(l);
}

void conn_limit_force(struct conn_limit *l)
{
    atomic_fetch_add(&l->used, 1);
}

void conn_limit_release(struct conn_limit *l)
{
    atomic_fetch_sub(&l->used, 1);
    wake_if_waiting(l);
}

uint64_t conn_limit_max(const struct conn_limit *l)
{
    return atomic_load(&l->max);
}

bool conn_limit_is_full(const struct conn_limit *l)
{
    return atomic_load(&l->used) >= atomic_load(&l->max);
}

uint64_t conn_limit_used(const struct conn_limit *l)
{
    return atomic_load(&l->used);
}
