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
#ifndef ZPROXY_RELAY_VIGIL_H
#define ZPROXY_RELAY_VIGIL_H

#include <stdbool.h>
#include <stdint.h>

enum vigil_kind {
    VIGIL_NEVER,
    VIGIL_ALWAYS,
    VIGIL_AUTO, /* while it pays */
};

struct vigil {
    uint32_t looks;  /* of a vigil */
    uint8_t kind;    /* enum vigil_kind */
    uint8_t credit;  /* VIGIL_AUTO: won by vigils that found something, lost by the others */
    uint16_t sleeps; /* without credit: how many until the next one is tried */
    uint16_t pause;  /* how many there were before it */
};

void vigil_init(struct vigil *v, enum vigil_kind kind, uint32_t looks);

/* Before a sleep: how many looks to take first. */
uint32_t vigil_begin(struct vigil *v);

/* After these looks: whether one has found something to do. */
void vigil_end(struct vigil *v, bool found);

/* A client has come, or a long message. These take long enough for a sleep not to show much: where
 * they come all the time there is little to be had from vigils but their cost. */
void vigil_break(struct vigil *v);

#endif
