#include "balance/connect_time.h"

/* A word: the time of the last sample in units of 64 ms, a flag, and the average in µs. It lasts
 * for 8 years of CLOCK_MONOTONIC and averages of 35 minutes. */
#define TICK_SHIFT 6
#define WHEN_SHIFT 32
#define ASSUMED    (UINT64_C(1) << 31)
#define US_MASK    (ASSUMED - 1)

#define HALF_TICKS (CONNECT_TIME_HALF >> TICK_SHIFT)
_Static_assert(CONNECT_TIME_UNIT % HALF_TICKS == 0, "a tick is a whole number of units");

static uint64_t word_of(uint64_t us, uint64_t now, uint64_t flag)
{
    us = us == 0 ? 1 : us;
    return (now >> TICK_SHIFT) << WHEN_SHIFT | flag | (us < US_MASK ? us : US_MASK);
}

static bool connect_time_is_known(uint64_t word)
{
    return word != 0 && (word & ASSUMED) == 0;
}

/* 2^(-ticks / HALF_TICKS), of 1024, piecewise linear. */
static uint64_t weight_left(uint64_t ticks)
{
    uint64_t halvings = ticks / HALF_TICKS;
    if (halvings >= 10)
        return 0;
    uint64_t of_next = ticks % HALF_TICKS * 512 / HALF_TICKS;
    return (1024 - of_next) >> halvings;
}

static uint64_t mix(uint64_t word, uint64_t us, uint64_t now)
{
    uint64_t ticks = now >> TICK_SHIFT;
    uint64_t last = word >> WHEN_SHIFT;
    uint64_t left = weight_left(ticks > last ? ticks - last : 0);
    uint64_t old = left < 1024 * 7 / 8 ? left : 1024 * 7 / 8;
    return ((word & US_MASK) * old + us * (1024 - old)) / 1024;
}

/* Changes are seq_cst: a tournament compares the ranks (tournament.h). */
void connect_time_add(_Atomic uint64_t *t, uint64_t us, uint64_t now)
{
    uint64_t before = atomic_load_explicit(t, memory_order_relaxed);
    uint64_t after = 0;
    us = us < US_MASK ? us : US_MASK;
    do {
        uint64_t average = connect_time_is_known(before) ? mix(before, us, now) : us;
        after = word_of(average, now, 0);
    } while (!atomic_compare_exchange_weak(t, &before, after));
}

bool connect_time_assume(_Atomic uint64_t *t, uint64_t us, uint64_t now)
{
    uint64_t before = atomic_load_explicit(t, memory_order_relaxed);
    return !connect_time_is_known(before) &&
           atomic_compare_exchange_strong(t, &before, word_of(us, now, ASSUMED));
}

void connect_time_forget(_Atomic uint64_t *t)
{
    atomic_store(t, 0);
}

uint64_t connect_time_average(const _Atomic uint64_t *t)
{
    uint64_t word = atomic_load_explicit(t, memory_order_relaxed);
    return connect_time_is_known(word) ? word & US_MASK : 0;
}

/* log2(1 + f) is f + 0.343 f (1 - f) within 0.008. */
uint64_t connect_time_log2(uint64_t x)
{
    unsigned whole = 63u - (unsigned)__builtin_clzll(x);
    uint64_t f = ((x << (63 - whole)) & (UINT64_MAX >> 1)) >> 51; /* of 4096 */
    return (uint64_t)whole * CONNECT_TIME_UNIT + f + (f * (4096 - f) / 4096 * 1405) / 4096;
}

uint64_t connect_time_rank(const _Atomic uint64_t *t)
{
    uint64_t word = atomic_load(t);
    if (word == 0)
        return 0;
    return connect_time_log2(word & US_MASK) +
           (word >> WHEN_SHIFT) * (CONNECT_TIME_UNIT / HALF_TICKS);
}
