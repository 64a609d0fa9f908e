/* A timer wheel: thousands of timeouts for the price of a list insertion.
 *
 * An entry falls due in the slot of its time, at most WHEEL_TICK late, never early. An entry
 * further away than the wheel reaches is looked at when the wheel has turned once and put back by
 * its owner, so a timeout that activity keeps pushing back costs nothing per event: the owner
 * leaves the entry where it is and decides when it falls due.
 *
 * After Varghese and Lauck, "Hashed and Hierarchical Timing Wheels" (1987), scheme 6.
 */
#ifndef ZPROXY_BASE_WHEEL_H
#define ZPROXY_BASE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define WHEEL_TICK  8u    /* ms */
#define WHEEL_SLOTS 4096u /* a power of two: reaches 32 s */
#define WHEEL_NEVER UINT64_MAX

struct wheel_entry {
    LIST_ENTRY(wheel_entry) in_slot;
    uint64_t tick; /* the tick it waits for; WHEEL_NEVER: in no slot */
};

LIST_HEAD(wheel_slot, wheel_entry);

struct wheel {
    uint64_t tick; /* all slots up to and with this one have been emptied */
    uint64_t next; /* no occupied slot comes before this tick; WHEEL_NEVER: none at all */
    uint64_t occupied[WHEEL_SLOTS / 64];
    struct wheel_slot slots[WHEEL_SLOTS];
};

/* now and all times: milliseconds of one monotonic clock. */
void wheel_init(struct wheel *w, uint64_t now);

void wheel_entry_init(struct wheel_entry *e);

/* Puts the entry in, or moves it, to fall due at `at` (at once, if that is past). */
void wheel_set(struct wheel *w, struct wheel_entry *e, uint64_t at);

/* Takes the entry out; it may be out already. */
void wheel_clear(struct wheel *w, struct wheel_entry *e);

/* Whether the entry would be looked at no later than `at`: then there is no need to move it. */
bool wheel_covers(const struct wheel_entry *e, uint64_t at);

/* When the wheel wants to be turned next, in ms of the clock; WHEEL_NEVER when it is empty. */
uint64_t wheel_due(const struct wheel *w);

/* Turns the wheel to now: takes out every entry that has fallen due and hands it to due(), which
 * may set and clear any entry of the wheel. */
void wheel_turn(struct wheel *w, uint64_t now, void (*due)(struct wheel_entry *e, void *arg),
                void *arg);

#endif
