/* A timer wheel: many timeouts, each at the cost of a list insertion. For one thread.
 *
 * An entry whose time is within the reach of the wheel is due at that time: never early, and at
 * most TIMER_WHEEL_TICK late. An entry further away is due after one turn of the wheel, before its
 * time; its owner then schedules it again. So a timeout that each event extends costs nothing per
 * event: the owner leaves the entry in its slot and checks the time when the entry is due.
 *
 * Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6.
 */
#ifndef ZPROXY_BASE_TIMER_WHEEL_H
#define ZPROXY_BASE_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define TIMER_WHEEL_TICK  8u    /* ms */
#define TIMER_WHEEL_SLOTS 4096u /* a power of two; the wheel reaches 32 s */
#define TIMER_WHEEL_NEVER UINT64_MAX

struct timer_wheel_entry {
    LIST_ENTRY(timer_wheel_entry) in_slot;
    uint64_t tick; /* when it is due; TIMER_WHEEL_NEVER: it is in no slot */
};

LIST_HEAD(timer_wheel_slot, timer_wheel_entry);

struct timer_wheel {
    uint64_t tick; /* all slots up to this tick are empty */
    uint64_t next; /* all slots before this tick are empty; TIMER_WHEEL_NEVER: all are */
    uint64_t occupied[TIMER_WHEEL_SLOTS / 64]; /* one bit for each slot */
    struct timer_wheel_slot slots[TIMER_WHEEL_SLOTS];
};

/* now, as all times here: ms of one monotonic clock. */
void timer_wheel_init(struct timer_wheel *w, uint64_t now);

void timer_wheel_entry_init(struct timer_wheel_entry *e);

/* Adds or moves the entry to be due at `at`; with the next tick if that is past. */
void timer_wheel_schedule(struct timer_wheel *w, struct timer_wheel_entry *e, uint64_t at);

/* Removes the entry if it is in a slot. */
void timer_wheel_cancel(struct timer_wheel *w, struct timer_wheel_entry *e);

/* Whether the entry is due at `at` or earlier: then the owner need not schedule it again. */
bool timer_wheel_covers(const struct timer_wheel_entry *e, uint64_t at);

/* When timer_wheel_advance() has work, ms; it may be earlier than the first entry is due.
 * TIMER_WHEEL_NEVER: the wheel is empty. */
uint64_t timer_wheel_next_due(const struct timer_wheel *w);

/* Advances the wheel to `now`: removes each entry that is due and calls due() for it, which may
 * schedule and cancel any entry. */
void timer_wheel_advance(struct timer_wheel *w, uint64_t now,
                         void (*due)(struct timer_wheel_entry *e, void *arg), void *arg);

#endif
