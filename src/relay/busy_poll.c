#include "relay/busy_poll.h"

/* WON is added for each busy poll that found an event, LOST subtracted for each that did not:
 * credit lasts while four of five find one. */
#define WON        1
#define LOST       4
#define CREDIT_MAX 16

/* Sleeps between two tries. At the maximum, the cost of busy polls that find nothing cannot be
 * measured; with frequent events, this many sleeps still take only a moment. */
#define BACKOFF_MIN 16
#define BACKOFF_MAX 1024

void busy_poll_init(struct busy_poll *b, enum busy_poll_mode mode, uint32_t spins)
{
    *b = (struct busy_poll){ .spins = spins, .mode = (uint8_t)mode, .backoff = BACKOFF_MIN };
}

uint32_t busy_poll_begin(struct busy_poll *b)
{
    if (b->mode == BUSY_POLL_NEVER)
        return 0;
    if (b->mode == BUSY_POLL_ALWAYS || b->credit > 0)
        return b->spins;
    if (b->sleeps > 0) {
        b->sleeps--;
        return 0;
    }
    return b->spins;
}

static void backoff(struct busy_poll *b)
{
    b->credit = 0;
    b->sleeps = b->backoff;
}

static void add_credit(struct busy_poll *b)
{
    if (b->credit < CREDIT_MAX)
        b->credit += WON;
    if (b->credit > LOST)
        b->backoff = BACKOFF_MIN;
}

static void take_credit(struct busy_poll *b)
{
    b->credit = b->credit > LOST ? b->credit - LOST : 0;
    if (b->credit > 0)
        return;
    backoff(b);
    b->backoff = b->backoff < BACKOFF_MAX ? 2 * b->backoff : BACKOFF_MAX;
}

void busy_poll_end(struct busy_poll *b, bool found)
{
    if (found)
        add_credit(b);
    else
        take_credit(b);
}

void busy_poll_suspend(struct busy_poll *b)
{
    backoff(b);
}
