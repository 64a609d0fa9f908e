#include "relay/vigil.h"

/* With WON for each vigil that paid and LOST for each that did not, credit lasts while four of five
 * pay. */
#define WON        1
#define LOST       4
#define CREDIT_MAX 16

/* Sleeps between two tries. The longest lets a vigil in vain cost nothing that could be measured;
 * where clients come and go it is still over in a moment. */
#define PAUSE_MIN 16
#define PAUSE_MAX 1024

void vigil_init(struct vigil *v, enum vigil_kind kind, uint32_t looks)
{
    *v = (struct vigil){ .looks = looks, .kind = (uint8_t)kind, .pause = PAUSE_MIN };
}

uint32_t vigil_begin(struct vigil *v)
{
    if (v->kind == VIGIL_NEVER)
        return 0;
    if (v->kind == VIGIL_ALWAYS || v->credit > 0)
        return v->looks;
    if (v->sleeps > 0) {
        v->sleeps--;
        return 0;
    }
    return v->looks;
}

static void pause(struct vigil *v)
{
    v->credit = 0;
    v->sleeps = v->pause;
}

static void win(struct vigil *v)
{
    if (v->credit < CREDIT_MAX)
        v->credit += WON;
    if (v->credit > LOST)
        v->pause = PAUSE_MIN;
}

static void lose(struct vigil *v)
{
    v->credit = v->credit > LOST ? v->credit - LOST : 0;
    if (v->credit > 0)
        return;
    pause(v);
    v->pause = v->pause < PAUSE_MAX ? 2 * v->pause : PAUSE_MAX;
}

void vigil_end(struct vigil *v, bool found)
{
    if (found)
        win(v);
    else
        lose(v);
}

void vigil_break(struct vigil *v)
{
    pause(v);
}
