#include "balance/backend.h"

#define LOG_INTERVAL 1000 /* ms between two lines about failed connects */

void backend_init(struct backend *b, const struct config_server *conf)
{
    b->conf = conf;
    atomic_init(&b->active, 0);
    atomic_init(&b->failure_logged, 0);
    atomic_init(&b->suppressed, 0);
}

bool backend_is_ready(const struct backend *b)
{
    return b->conf->state == CONFIG_STATE_READY;
}

bool backend_take(struct backend *b)
{
    uint64_t limit = b->conf->max_connections;
    uint64_t active = atomic_load_explicit(&b->active, memory_order_relaxed);
    do {
        if (limit != 0 && active >= limit)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&b->active, &active, active + 1,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void backend_release(struct backend *b)
{
    atomic_fetch_sub_explicit(&b->active, 1, memory_order_relaxed);
}

bool backend_may_log(struct backend *b, uint64_t now, uint64_t *suppressed)
{
    uint64_t last = atomic_load_explicit(&b->failure_logged, memory_order_relaxed);
    bool due = last == 0 || now >= last + LOG_INTERVAL;
    if (!due || !atomic_compare_exchange_strong(&b->failure_logged, &last, now)) {
        atomic_fetch_add_explicit(&b->suppressed, 1, memory_order_relaxed);
        return false;
    }
    *suppressed = atomic_exchange_explicit(&b->suppressed, 0, memory_order_relaxed);
    return true;
}
