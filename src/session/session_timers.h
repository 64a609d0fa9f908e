/* How long a session may go on, and how it is told to end. One wheel entry a session; what it means
 * follows from the state. */
#ifndef ZPROXY_SESSION_SESSION_TIMERS_H
#define ZPROXY_SESSION_SESSION_TIMERS_H

#include <stdbool.h>
#include <stdint.h>

#include "session/session.h"

/* The time of this wake-up, ms. */
static inline uint64_t session_now(const struct session *s)
{
    return s->sessions->set->now;
}

/* start + timeout, ms; a timeout of 0 is TIMER_WHEEL_NEVER. */
uint64_t session_timers_after(uint64_t start, uint64_t timeout);

/* When its state, and when its whole life is over, ms; TIMER_WHEEL_NEVER: never. */
uint64_t session_timers_deadline(const struct session *s);
uint64_t session_timers_last_deadline(const struct session *s);

/* To be called when the deadline may have come nearer. Activity only moves it away: the entry stays
 * and is looked at when it falls due. */
void session_timers_arm(struct session *s);

/* A read was taken for all there was (flow.h): the session is looked at again before long. */
bool session_has_guessed(const struct session *s);

/* When a direction that its rate holds back may move again, ms; TIMER_WHEEL_NEVER: none is. */
uint64_t session_timers_rate_due(const struct session *s);

/* One side has ended its direction, the other goes on. What came before that end may not be
 * delivered yet. */
bool session_is_half_closed(const struct session *s);

/* The session is processed in the next wake-up, without an event. */
void session_schedule(struct session *s);

#endif
