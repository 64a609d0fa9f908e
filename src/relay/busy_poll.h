/* Whether a worker that has nothing to do stays awake a little longer.
 *
 * To go to sleep and be woken takes longer than to relay a message, above all in a virtual machine,
 * where an idle processor has to be kicked by the host. Whoever looks for work for about as long as
 * that takes loses, at worst, as much again, and gains it all if something comes (Karlin, Li,
 * Manasse and Owicki, "Empirical Studies of Competitive Spinning for a Shared-Memory
 * Multiprocessor", 1991). So a vigil is short; and it is kept only while almost each one has been
 * worth it lately, as with one client behind which the next message is never far. Else one is tried
 * now and then, ever more seldom.
 *
 * It is counted in looks, which have been timed once: nothing asks for the time meanwhile.
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

struct busy_poll {
    uint32_t spins;   /* of a vigil */
    uint8_t mode;     /* enum busy_poll_mode */
    uint8_t credit;   /* BUSY_POLL_AUTO: won by vigils that found something, lost by the others */
    uint16_t sleeps;  /* without credit: how many until the next one is tried */
    uint16_t backoff; /* how many there were before it */
};

void busy_poll_init(struct busy_poll *v, enum busy_poll_mode mode, uint32_t spins);

/* Before a sleep: how many looks to take first. */
uint32_t busy_poll_begin(struct busy_poll *v);

/* After these looks: whether one has found something to do. */
void busy_poll_end(struct busy_poll *v, bool found);

/* A client has come, or a long message. These take long enough for a sleep not to show much: where
 * they come all the time there is little to be had from vigils but their cost. */
void busy_poll_suspend(struct busy_poll *v);

#endif
