#include "session/life.h"

#include <assert.h>

#include "session/preread_info.h"
#include "session/throttle.h"
#include "session/tour.h"

#define CONFIRM_AFTER 8 /* ms until a read that was taken for all there was is looked at again */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a < b ? b : a;
}

uint64_t life_after(uint64_t start, uint64_t timeout)
{
    return timeout == 0 ? WHEEL_NEVER : start + timeout;
}

bool life_is_half_closed(const struct session *s)
{
    bool pending = s->state == SESSION_RELAYING &&
                   (side_is(&s->client, SIDE_ENDED) || side_is(&s->server, SIDE_ENDED));
    return s->up_ended || s->down_ended || pending;
}

static uint64_t silence_deadline(const struct session *s)
{
    const struct config_listen *c = s->service->conf;
    return life_after(s->active, life_is_half_closed(s) ? c->half_close_timeout : c->idle_timeout);
}

uint64_t life_last_deadline(const struct session *s)
{
    return life_after(s->began, s->service->conf->session_timeout);
}

uint64_t life_throttled_until(const struct session *s)
{
    uint64_t at = WHEEL_NEVER;
    if (s->throttle != NULL && s->state == SESSION_RELAYING)
        at = earlier(throttle_due(&s->throttle->up, &s->up, &s->client),
                     throttle_due(&s->throttle->down, &s->down, &s->server));
    return at;
}

uint64_t life_deadline(const struct session *s)
{
    bool moves = s->state == SESSION_RELAYING || s->state == SESSION_ANSWERING;
    uint64_t at = moves ? silence_deadline(s) : s->wait_until;
    uint64_t held_until = life_throttled_until(s);
    if (held_until != WHEEL_NEVER) /* whom we hold back is not idle */
        at = later(at, held_until);
    return earlier(at, life_last_deadline(s));
}

bool life_has_guessed(const struct session *s)
{
    return side_is(&s->client, SIDE_GUESSED) || side_is(&s->server, SIDE_GUESSED);
}

void life_arm(struct session *s)
{
    uint64_t at = life_deadline(s);
    if (life_has_guessed(s))
        at = earlier(at, life_now(s) + CONFIRM_AFTER);
    at = earlier(at, life_throttled_until(s));
    if (at != WHEEL_NEVER && !wheel_covers(&s->timer, at))
        wheel_set(&s->home->wheel, &s->timer, at);
}

void life_end(struct session *s, enum session_end why)
{
    assert(s->state != SESSION_ENDED);
    if (s->state == SESSION_GREETING && s->preread == NULL)
        s->preread = preread_info_new(life_now(s) - s->began, NULL);
    s->state = SESSION_ENDED;
    s->ended_by = (uint8_t)why;
    wheel_clear(&s->home->wheel, &s->timer);
    tour_leave(s);
    LIST_REMOVE(s, in_all);
    LIST_INSERT_HEAD(&s->home->dead, s, in_all);
}

bool life_is_shared(const struct session *s)
{
    return s->staged || s->inherited || s->home->shared;
}

void life_unwatch(struct session *s, const struct side *sd)
{
    if (sd->fd != -1 && life_is_shared(s))
        poller_remove(s->home->poller, sd->fd);
}
