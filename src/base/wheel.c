#include "base/wheel.h"

#include <stddef.h>

static struct wheel_slot *slot_of(struct wheel *w, uint64_t tick)
{
    return &w->slots[tick % WHEEL_SLOTS];
}

static void mark(struct wheel *w, uint64_t tick)
{
    w->occupied[tick % WHEEL_SLOTS / 64] |= UINT64_C(1) << (tick % 64);
}

static void unmark(struct wheel *w, uint64_t tick)
{
    w->occupied[tick % WHEEL_SLOTS / 64] &= ~(UINT64_C(1) << (tick % 64));
}

/* The first occupied tick after w->tick. */
static uint64_t find_next(const struct wheel *w)
{
    uint64_t first = w->tick + 1;
    uint64_t last = w->tick + WHEEL_SLOTS;
    uint64_t tick = first;
    while (tick <= last) { /* a word of slots at a time */
        uint64_t word = w->occupied[tick % WHEEL_SLOTS / 64] >> (tick % 64);
        if (word != 0) {
            tick += (uint64_t)__builtin_ctzll(word);
            return tick <= last ? tick : WHEEL_NEVER;
        }
        tick += 64 - tick % 64;
    }
    return WHEEL_NEVER;
}

void wheel_init(struct wheel *w, uint64_t now)
{
    w->tick = now / WHEEL_TICK;
    w->next = WHEEL_NEVER;
    for (unsigned i = 0; i < WHEEL_SLOTS / 64; i++)
        w->occupied[i] = 0;
    for (unsigned i = 0; i < WHEEL_SLOTS; i++)
        LIST_INIT(&w->slots[i]);
}

void wheel_entry_init(struct wheel_entry *e)
{
    e->tick = WHEEL_NEVER;
}

void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at)
{
    uint64_t tick = at / WHEEL_TICK + 1; /* never early: the tick that begins after `at` */
    if (tick <= w->tick)
        tick = w->tick + 1;
    if (tick >= w->tick + WHEEL_SLOTS)
        tick = w->tick + WHEEL_SLOTS - 1;
    wheel_clear(w, e);
    e->tick = tick;
    LIST_INSERT_HEAD(slot_of(w, tick), e, in_slot);
    mark(w, tick);
    if (tick < w->next)
        w->next = tick;
}

void wheel_clear(struct wheel *w, struct wheel_entry *e)
{
    if (e->tick == WHEEL_NEVER)
        return;
    LIST_REMOVE(e, in_slot);
    if (LIST_EMPTY(slot_of(w, e->tick)))
        unmark(w, e->tick);
    e->tick = WHEEL_NEVER;
}

bool wheel_covers(const struct wheel_entry *e, uint64_t at)
{
    return e->tick != WHEEL_NEVER && e->tick <= at / WHEEL_TICK + 1;
}

uint64_t wheel_due(const struct wheel *w)
{
    return w->next == WHEEL_NEVER ? WHEEL_NEVER : w->next * WHEEL_TICK;
}

void wheel_turn(struct wheel *w, uint64_t now, void (*due)(struct wheel_entry *e, void *arg),
                void *arg)
{
    uint64_t until = now / WHEEL_TICK;
    while (w->next <= until) {
        uint64_t tick = w->next;
        w->tick = tick; /* an entry set by due() goes to a later slot, so this loop ends */
        struct wheel_entry *e;
        while ((e = LIST_FIRST(slot_of(w, tick))) != NULL) {
            wheel_clear(w, e);
            due(e, arg);
        }
        w->next = find_next(w);
    }
    if (until > w->tick)
        w->tick = until;
}
