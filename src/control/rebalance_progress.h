/* How far a rebalance (rebalances.h) has come: its plan, the time it has, the sessions that it has
 * closed and those that have come back. Plain figures, from which another process can continue it.
 * Pure functions; times are in ms of CLOCK_MONOTONIC. */
#ifndef ZPROXY_CONTROL_REBALANCE_PROGRESS_H
#define ZPROXY_CONTROL_REBALANCE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

#define REBALANCE_NO_LIMIT UINT64_MAX

struct rebalance_progress {
    uint64_t first_began; /* when the command was given */
    uint64_t over;        /* ms, the time in the command; 0: at once */
    uint64_t began;       /* when the present plan was made */
    uint64_t length;      /* ms, the time that the present plan has */
    uint64_t counted;     /* 1: planned and to_move are valid; 0: sessions are being counted */
    uint64_t planned;     /* sessions to close by the present plan */
    uint64_t to_move;     /* sessions that still have to move, as last counted */
    uint64_t closed;      /* since the command */
    uint64_t most;        /* closed must not exceed this; REBALANCE_NO_LIMIT */
    uint64_t coming;      /* closed sessions whose clients have not come back */
    uint64_t coming_late; /* more of them, closed before `aged`: dropped 5 seconds after it */
    uint64_t aged;        /* when coming was last added to coming_late */
    uint64_t present;     /* sessions on all servers, as last counted */
    uint64_t changed;     /* when a session was last closed */
    uint64_t absent;      /* servers that have gone out since, and that sessions have to move to */
};

/* Begins a rebalance, or gives it another time. */
void rebalance_progress_begin(struct rebalance_progress *c, uint64_t over, uint64_t now);

/* A new plan must be made, for the time that is left. */
void rebalance_progress_plan_again(struct rebalance_progress *c, uint64_t now);
/* to_move: sessions to be closed from now on. limited: no more may be closed, even if more have to
 * move later. */
void rebalance_progress_set_plan(struct rebalance_progress *c, uint64_t to_move, bool limited);

/* Counts the sessions that have come back: as many as there are more sessions than at the last
 * call. Closed sessions that have not come back 5 to 10 seconds after the close are dropped. */
void rebalance_progress_count_coming(struct rebalance_progress *c, uint64_t present, uint64_t now);
uint64_t rebalance_progress_coming(const struct rebalance_progress *c);
/* Counts sessions that a wave has closed: present, coming and closed change together. */
void rebalance_progress_add_closed(struct rebalance_progress *c, uint64_t closed, uint64_t now);

/* The number of sessions that may still have to move at this time. */
uint64_t rebalance_progress_allowed(const struct rebalance_progress *c, uint64_t now);
/* The ms that are left. */
uint64_t rebalance_progress_left(const struct rebalance_progress *c, uint64_t now);
/* Whether the rebalance ends although sessions have to move or come back: 10 seconds after the end
 * of its time and, unless it waits for a server, after the last close. */
bool rebalance_progress_has_settled(const struct rebalance_progress *c, uint64_t now);

#endif
