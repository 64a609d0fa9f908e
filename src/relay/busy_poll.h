/* Busy polling: whether a worker with nothing to do polls for a short time before it sleeps.
 *
 * To sleep and be woken takes longer than to relay a message, above all in a virtual machine, where
 * the host has to wake an idle processor. A worker that polls for about as long as that takes loses
 * at most the same time again, and saves all of it if an event comes (Karlin, Li, Manasse and
 * Owicki, "Empirical Studies of Competitive Spinning for a Shared-Memory Multiprocessor", 1991). So
 * a busy poll is short. With BUSY_POLL_AUTO the worker polls only while two things hold:
 *
 * - Almost every recent busy poll found an event, as with a single client that sends message after
 * message. Otherwise the worker tries one now and then, at growing intervals.
 *
 * - Busy polls cost hardly more CPU time than sleeping, or less. This depends on the machine, so it
 * is tried out: for a few hundred wake-ups with and without them, and again after many thousand.
 *
 * The length is a number of looks at the event set; the time of a look was measured once, so that
 * the clock is not read meanwhile. For the worker's thread.
 */
#ifndef ZPROXY_RELAY_BUSY_POLL_H
#define ZPROXY_RELAY_BUSY_POLL_H

#include <stdbool.h>
#include <stdint.h>

enum busy_poll_mode {
    BUSY_POLL_NEVER,
    BUSY_POLL_ALWAYS,
    BUSY_POLL_AUTO, /* while it pays */
};

/* The comparison of busy polls with sleeping, in windows that alternate between the two. */
struct busy_poll_trial {
    uint64_t (*cpu_time)(void); /* ns that this thread has used */
    uint64_t began;             /* of the window: its cpu_time() */
    uint64_t events;            /* of the window */
    uint64_t least[2];          /* ns per event, of the cheapest window: without, with busy polls */
    uint32_t left;              /* wake-ups until the window, or the result, ends */
    uint8_t window;             /* its number; 0: no trial */
    bool dear;                  /* result of the last one: busy polls cost more than sleeping */
};

struct busy_poll {
    uint32_t spins;   /* looks in a busy poll */
    uint8_t mode;     /* enum busy_poll_mode */
    uint8_t credit;   /* BUSY_POLL_AUTO: raised by polls that found an event, lowered by others */
    uint16_t sleeps;  /* without credit: sleeps until the next busy poll is tried */
    uint16_t backoff; /* sleeps before the last one that was tried */
    struct busy_poll_trial trial; /* BUSY_POLL_AUTO */
};

/* cpu_time: returns the ns of CPU time that the calling thread has used. */
void busy_poll_init(struct busy_poll *b, enum busy_poll_mode mode, uint32_t spins,
                    uint64_t (*cpu_time)(void));

/* Before a sleep: returns the number of looks to take first. */
uint32_t busy_poll_begin(struct busy_poll *b);

/* After these looks. found: one of them returned an event. */
void busy_poll_end(struct busy_poll *b, bool found);

/* After a wake-up with so many events. */
static inline void busy_poll_count(struct busy_poll *b, int events)
{
    b->trial.events += (uint64_t)events;
}

/* Call for a new client or a long message. These take so long that a sleep adds little; with many
 * of them, busy polls would cost more than they save. */
void busy_poll_suspend(struct busy_poll *b);

#endif
