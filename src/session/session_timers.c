#include "session/session_timers.h"

#include "session/rate_limit.h"

#define CONFIRM_AFTER  8    /* ms until flow_confirm() for a socket that was taken for empty */
#define CLOSE_LOOK_MAX 1000 /* ms between two looks at a flow in FLOW_CLOSE */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a < b ? b : a;
}

uint64_t session_timers_after(uint64_t start, uint64_t timeout)
{
    return timeout == 0 ? TIMER_WHEEL_NEVER : start + timeout;
}

bool session_is_closing_tls(const struct session *s)
{
    bool moves = s->state == SESSION_RELAYING || s->state == SESSION_ANSWERING;
    return moves && (flow_is_closing(&s->up) || flow_is_closing(&s->down));
}

bool session_is_half_closed(const struct session *s)
{
    bool pending = s->state == SESSION_RELAYING &&
                   (side_is(&s->client, SIDE_ENDED) || side_is(&s->server, SIDE_ENDED));
    return s->up_ended || s->down_ended || pending || session_is_closing_tls(s);
}

/* The time of the last activity. Activity has the time at which its wake-up began. If that wake-up
 * was held up (SIGSTOP, a disk), its end counts, since the peers could not be served before. */
static uint64_t last_activity(const struct session *s)
{
    const struct event_set *set = s->sessions->set;
    return s->active == set->held_from ? set->held_until : s->active;
}

static uint64_t idle_deadline(const struct session *s)
{
    const struct config_listen *c = s->frontend->conf;
    return session_timers_after(last_activity(s), session_is_half_closed(s) ? c->half_close_timeout
                                                                            : c->idle_timeout);
}

uint64_t session_timers_last_deadline(const struct session *s)
{
    return session_timers_after(s->began, s->frontend->conf->session_timeout);
}

uint64_t session_timers_rate_due(const struct session *s)
{
    uint64_t at = TIMER_WHEEL_NEVER;
    if (s->rate_limit != NULL && s->state == SESSION_RELAYING)
        at = earlier(rate_limit_due(&s->rate_limit->up, &s->up, &s->client),
                     rate_limit_due(&s->rate_limit->down, &s->down, &s->server));
    return at;
}

uint64_t session_timers_deadline(const struct session *s)
{
    bool moves = s->state == SESSION_RELAYING || s->state == SESSION_ANSWERING;
    uint64_t at = moves ? idle_deadline(s) : s->wait_until;
    if (s->wait != NULL && s->wait->rest_until != 0)
        at = earlier(at, s->wait->rest_until);
    uint64_t held_until = session_timers_rate_due(s);
    if (held_until != TIMER_WHEEL_NEVER) /* a session that the rate limit holds back is not idle */
        at = later(at, held_until);
    return earlier(at, session_timers_last_deadline(s));
}

bool session_has_guessed(const struct session *s)
{
    return side_is(&s->client, SIDE_GUESSED) || side_is(&s->server, SIDE_GUESSED);
}

/* While the kernel holds back the end of a stream: soon after the last byte, later more rarely. */
static uint64_t next_look(const struct session *s)
{
    uint64_t waited = session_now(s) - s->active;
    return session_now(s) +
           (waited < CONFIRM_AFTER ? CONFIRM_AFTER : earlier(waited, CLOSE_LOOK_MAX));
}

void session_timers_arm(struct session *s)
{
    uint64_t at = session_timers_deadline(s);
    if (session_has_guessed(s))
        at = earlier(at, session_now(s) + CONFIRM_AFTER);
    if (session_is_closing_tls(s))
        at = earlier(at, next_look(s));
    at = earlier(at, session_timers_rate_due(s));
    if (at != TIMER_WHEEL_NEVER && !timer_wheel_covers(&s->timer, at))
        timer_wheel_schedule(&s->sessions->timer_wheel, &s->timer, at);
}

void session_schedule(struct session *s)
{
    if (s->scheduled)
        return;
    s->scheduled = true;
    SLIST_INSERT_HEAD(&s->sessions->scheduled, s, in_scheduled);
}
