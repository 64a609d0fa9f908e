#include "session/session_id.h"

/* 2026-01-01T00:00:00Z: a nearer beginning than 1970 makes the numbers shorter. */
#define EPOCH 1767225600

uint64_t session_id_start(const struct timespec *now)
{
    int64_t us = ((int64_t)now->tv_sec - EPOCH) * 1000000 + now->tv_nsec / 1000;
    return us < (int64_t)SESSION_ID_MIN ? SESSION_ID_MIN - 1 : (uint64_t)us;
}

bool session_id_was_given(uint64_t id, const _Atomic uint64_t *last)
{
    return id >= SESSION_ID_MIN && id <= atomic_load_explicit(last, memory_order_relaxed);
}
