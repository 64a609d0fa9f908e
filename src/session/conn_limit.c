#include "session/conn_limit.h"

/* A worker that finds the limit reached stores `waiting` and then looks at `used` and `max` again;
 * a thread that makes room changes `used` or `max` and then looks at `waiting`. At least one of the
 * two sees the other's store, because all of these operations are sequentially consistent: so no
 * wake is lost. The operations on these three members that are relaxed only report a figure. */

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
    atomic_store_explicit(&l->reason, (int)reason, memory_order_relaxed);
}

enum accept_reason conn_limit_reason(const struct conn_limit *l)
{
    return (enum accept_reason)atomic_load_explicit(&l->reason, memory_order_relaxed);
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
        if (used >= atomic_load(&l->max))
            return false;
    } while (!atomic_compare_exchange_weak(&l->used, &used, used + 1));
    return true;
}

bool conn_limit_acquire(struct conn_limit *l)
{
    if (try_acquire(l))
        return true;
    atomic_store(&l->waiting, true);
    return try_acquire(l);
}

void conn_limit_force(struct conn_limit *l)
{
    atomic_fetch_add_explicit(&l->used, 1, memory_order_relaxed); /* makes no room */
}

void conn_limit_release(struct conn_limit *l)
{
    atomic_fetch_sub(&l->used, 1);
    wake_if_waiting(l);
}

uint64_t conn_limit_max(const struct conn_limit *l)
{
    return atomic_load_explicit(&l->max, memory_order_relaxed);
}

bool conn_limit_is_full(const struct conn_limit *l)
{
    return conn_limit_used(l) >= conn_limit_max(l);
}

uint64_t conn_limit_used(const struct conn_limit *l)
{
    return atomic_load_explicit(&l->used, memory_order_relaxed);
}
