/* A timer wheel: thousands of timeouts for the price of a list insertion.
 *
 * An entry falls due in the slot of its time, at most TIMER_WHEEL_TICK late, never early. An entry
 * further away than the wheel reaches is looked at when the wheel has turned once and put back by
 * its owner, so a timeout that activity keeps pushing back costs nothing per event: the owner
 * leaves the entry where it is and decides when it falls due.
 *
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6.
 */
#ifndef ZPROXY_BASE_TIMER_WHEEL_H
#define ZPROXY_BASE_TIMER_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define TIMER_WHEEL_TICK  8u    /* ms */
#define TIMER_WHEEL_SLOTS 4096u /* a power of two: reaches 32 s */
#define TIMER_WHEEL_NEVER UINT64_MAX

struct timer_wheel_entry {
    LIST_ENTRY(timer_wheel_entry) in_slot;
    uint64_t tick; /* the tick it waits for; TIMER_WHEEL_NEVER: in no slot */
};

LIST_HEAD(timer_wheel_slot, timer_wheel_entry);

struct timer_wheel {
    uint64_t tick; /* all slots up to and with this one have been emptied */
    uint64_t next; /* no occupied slot comes before this tick; TIMER_WHEEL_NEVER: none at all */
    uint64_t occupied[TIMER_WHEEL_SLOTS / 64];
    struct timer_wheel_slot slots[TIMER_WHEEL_SLOTS];
};

/* now and all times: milliseconds of one monotonic clock. */
void timer_wheel_init(struct timer_wheel *w, uint64_t now);

void timer_wheel_entry_init(struct timer_wheel_entry *e);

/* Puts the entry in, or moves it, to fall due at `at` (at once, if that is past). */
void timer_wheel_schedule(struct timer_wheel *w, struct timer_wheel_entry *e, uint64_t at);

/* Takes the entry out; it may be out already. */
void timer_wheel_cancel(struct timer_wheel *w, struct timer_wheel_entry *e);

/* Whether the entry would be looked at no later than `at`: then there is no need to move it. */
bool timer_wheel_covers(const struct timer_wheel_entry *e, uint64_t at);

/* When the wheel wants to be turned next, in ms of the clock; TIMER_WHEEL_NEVER when it is empty.
 */
uint64_t timer_wheel_next_due(const struct timer_wheel *w);

/* Turns the wheel to now: takes out every entry that has fallen due and hands it to due(), which
 * may set and clear any entry of the wheel. */
void timer_wheel_advance(struct timer_wheel *w, uint64_t now,
                         void (*due)(struct timer_wheel_entry *e, void *arg), void *arg);

#endif
