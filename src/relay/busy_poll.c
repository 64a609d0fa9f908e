#include "relay/busy_poll.h"

/* WON is added for each busy poll that found an event, LOST subtracted for each that did not:
 * credit lasts while four of five find one. */
#define WON        1
#define LOST       4
#define CREDIT_MAX 16

/* Sleeps between two tries. At the maximum, the cost of a busy poll in vain cannot be measured;
 * where clients come and go, that many sleeps still pass in a moment. */
#define BACKOFF_MIN 16
#define BACKOFF_MAX 1024

void busy_poll_init(struct busy_poll *v, enum busy_poll_mode mode, uint32_t spins)
{
    *v = (struct busy_poll){ .spins = spins, .mode = (uint8_t)mode, .backoff = BACKOFF_MIN };
}

uint32_t busy_poll_begin(struct busy_poll *v)
{
    if (v->mode == BUSY_POLL_NEVER)
        return 0;
    if (v->mode == BUSY_POLL_ALWAYS || v->credit > 0)
        return v->spins;
    if (v->sleeps > 0) {
        v->sleeps--;
        return 0;
    }
    return v->spins;
}

static void backoff(struct busy_poll *v)
{
    v->credit = 0;
    v->sleeps = v->backoff;
}

static void add_credit(struct busy_poll *v)
{
    if (v->credit < CREDIT_MAX)
        v->credit += WON;
    if (v->credit > LOST)
        v->backoff = BACKOFF_MIN;
}

static void take_credit(struct busy_poll *v)
{
    v->credit = v->credit > LOST ? v->credit - LOST : 0;
    if (v->credit > 0)
        return;
    backoff(v);
    v->backoff = v->backoff < BACKOFF_MAX ? 2 * v->backoff : BACKOFF_MAX;
}

void busy_poll_end(struct busy_poll *v, bool found)
{
    if (found)
        add_credit(v);
    else
        take_credit(v);
}

void busy_poll_suspend(struct busy_poll *v)
{
    backoff(v);
}
