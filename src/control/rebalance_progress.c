#include "control/rebalance_progress.h"

#define SETTLE_MS \
    10000 /* how long closed sessions may take to come back, and servers after the end */

void rebalance_progress_begin(struct rebalance_progress *c, uint64_t over, uint64_t now)
{
    c->over = c->length = over;
    c->began = c->changed = now;
    c->counted = 0;
}

/* After the end of its time, the end stays where it was: servers that go out and come back again
 * and again must not keep the rebalance running. */
void rebalance_progress_plan_again(struct rebalance_progress *c, uint64_t now)
{
    uint64_t left = rebalance_progress_left(c, now);
    c->began = left > 0 ? now : c->began + c->length;
    c->length = left;
    c->counted = 0;
}

void rebalance_progress_set_plan(struct rebalance_progress *c, uint64_t to_move, bool limited)
{
    c->planned = c->to_move = to_move;
    c->most = limited ? c->closed + to_move : REBALANCE_NO_LIMIT;
    c->counted = 1;
}

void rebalance_progress_count_coming(struct rebalance_progress *c, uint64_t present, uint64_t now)
{
    uint64_t back = present > c->present ? present - c->present : 0;
    uint64_t late = back < c->coming_late ? back : c->coming_late;
    back -= late;
    c->present = present;
    c->coming_late -= late;
    c->coming -= back < c->coming ? back : c->coming;
    if (now - c->aged < SETTLE_MS / 2)
        return;
    c->coming_late = c->coming;
    c->coming = 0;
    c->aged = now;
}

uint64_t rebalance_progress_coming(const struct rebalance_progress *c)
{
    return c->coming + c->coming_late;
}

void rebalance_progress_add_closed(struct rebalance_progress *c, uint64_t closed, uint64_t now)
{
    if (closed == 0)
        return;
    if (rebalance_progress_coming(c) == 0)
        c->aged = now;
    c->closed += closed;
    c->coming += closed;
    c->present -= closed < c->present ? closed : c->present;
    c->changed = now;
}

uint64_t rebalance_progress_allowed(const struct rebalance_progress *c, uint64_t now)
{
    uint64_t elapsed = now - c->began;
    if (elapsed >= c->length)
        return 0;
    return c->planned - (uint64_t)((double)c->planned * (double)elapsed / (double)c->length);
}

uint64_t rebalance_progress_left(const struct rebalance_progress *c, uint64_t now)
{
    uint64_t elapsed = now - c->began;
    return elapsed < c->length ? c->length - elapsed : 0;
}

bool rebalance_progress_has_settled(const struct rebalance_progress *c, uint64_t now)
{
    uint64_t end = c->began + c->length;
    if (now < end || now - end < SETTLE_MS)
        return false;
    return c->absent > 0 || now >= c->changed + SETTLE_MS;
}
