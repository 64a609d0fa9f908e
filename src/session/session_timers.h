/* The timeouts of a session. A session has one entry in the timer wheel; the state of the session
 * decides which timeout it stands for. For the worker's thread. */
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

/* When the session times out, ms; TIMER_WHEEL_NEVER: no timeout. The first is the next timeout of
 * any kind, the second session_timeout alone. */
uint64_t session_timers_deadline(const struct session *s);
uint64_t session_timers_last_deadline(const struct session *s);

/* Must be called when the deadline may now be earlier. Activity makes it later, which needs no
 * call: when the entry falls due, the deadline is computed again. */
void session_timers_arm(struct session *s);

/* Whether a source was taken for empty without asking the kernel (flow_confirm()). The timer is
 * then armed to ask soon. */
bool session_has_guessed(const struct session *s);

/* Whether the source of a direction has ended and its end is not passed on yet: close_notify, or
 * all TLS records of the kernel, are not in the TCP stream; or a reset waits until the bytes before
 * it have arrived. There may be no event then: the timer is armed to look again. */
bool session_is_closing_tls(const struct session *s);

/* When a direction that waits for its rate limit may move again, ms; TIMER_WHEEL_NEVER: no
 * direction waits for it. */
uint64_t session_timers_rate_due(const struct session *s);

/* Whether one side has sent FIN and the other has not. Bytes before the FIN may not be delivered
 * yet. */
bool session_is_half_closed(const struct session *s);

/* Has the session processed in the next wake-up, without an event. */
void session_schedule(struct session *s);

#endif
