#include "base/timer_wheel.h"

#include <stddef.h>

static struct timer_wheel_slot *slot_of(struct timer_wheel *w, uint64_t tick)
{
    return &w->slots[tick % TIMER_WHEEL_SLOTS];
}

static void mark_occupied(struct timer_wheel *w, uint64_t tick)
{
    w->occupied[tick % TIMER_WHEEL_SLOTS / 64] |= UINT64_C(1) << (tick % 64);
}

static void clear_occupied(struct timer_wheel *w, uint64_t tick)
{
    w->occupied[tick % TIMER_WHEEL_SLOTS / 64] &= ~(UINT64_C(1) << (tick % 64));
}

/* The first occupied tick after w->tick. */
static uint64_t find_next_tick(const struct timer_wheel *w)
{
    uint64_t first = w->tick + 1;
    uint64_t last = w->tick + TIMER_WHEEL_SLOTS;
    uint64_t tick = first;
    while (tick <= last) { /* 64 slots at a time */
        uint64_t word = w->occupied[tick % TIMER_WHEEL_SLOTS / 64] >> (tick % 64);
        if (word != 0) {
            tick += (uint64_t)__builtin_ctzll(word);
            return tick <= last ? tick : TIMER_WHEEL_NEVER;
        }
        tick += 64 - tick % 64;
    }
    return TIMER_WHEEL_NEVER;
}

void timer_wheel_init(struct timer_wheel *w, uint64_t now)
{
    w->tick = now / TIMER_WHEEL_TICK;
    w->next = TIMER_WHEEL_NEVER;
    for (unsigned i = 0; i < TIMER_WHEEL_SLOTS / 64; i++)
        w->occupied[i] = 0;
    for (unsigned i = 0; i < TIMER_WHEEL_SLOTS; i++)
        LIST_INIT(&w->slots[i]);
}

void timer_wheel_entry_init(struct timer_wheel_entry *e)
{
    e->tick = TIMER_WHEEL_NEVER;
}

void timer_wheel_schedule(struct timer_wheel *w, struct timer_wheel_entry *e, uint64_t at)
{
    uint64_t tick = at / TIMER_WHEEL_TICK + 1; /* never early: the tick that begins after `at` */
    if (tick <= w->tick)
        tick = w->tick + 1;
    if (tick >= w->tick + TIMER_WHEEL_SLOTS)
        tick = w->tick + TIMER_WHEEL_SLOTS - 1;
    timer_wheel_cancel(w, e);
    e->tick = tick;
    LIST_INSERT_HEAD(slot_of(w, tick), e, in_slot);
    mark_occupied(w, tick);
    if (tick < w->next)
        w->next = tick;
}

void timer_wheel_cancel(struct timer_wheel *w, struct timer_wheel_entry *e)
{
    if (e->tick == TIMER_WHEEL_NEVER)
        return;
    LIST_REMOVE(e, in_slot);
    if (LIST_EMPTY(slot_of(w, e->tick)))
        clear_occupied(w, e->tick);
    e->tick = TIMER_WHEEL_NEVER;
}

bool timer_wheel_covers(const struct timer_wheel_entry *e, uint64_t at)
{
    return e->tick != TIMER_WHEEL_NEVER && e->tick <= at / TIMER_WHEEL_TICK + 1;
}

uint64_t timer_wheel_next_due(const struct timer_wheel *w)
{
    return w->next == TIMER_WHEEL_NEVER ? TIMER_WHEEL_NEVER : w->next * TIMER_WHEEL_TICK;
}

void timer_wheel_advance(struct timer_wheel *w, uint64_t now,
                         void (*due)(struct timer_wheel_entry *e, void *arg), void *arg)
{
    uint64_t until = now / TIMER_WHEEL_TICK;
    while (w->next <= until) {
        uint64_t tick = w->next;
        w->tick = tick; /* due() can only schedule to later slots, so the inner loop ends */
        struct timer_wheel_entry *e;
        while ((e = LIST_FIRST(slot_of(w, tick))) != NULL) {
            timer_wheel_cancel(w, e);
            due(e, arg);
        }
        w->next = find_next_tick(w);
    }
    if (until > w->tick)
        w->tick = until;
}
