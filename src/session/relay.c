#include "session/relay.h"

#include <errno.h>
#include <sys/socket.h>

#include "relay/kernel.h"
#include "session/life.h"
#include "session/throttle.h"

/* Bytes in a wake-up from which on throughput matters more than the time of an answer. */
#define LONG_MESSAGE (8 * 1024)

static bool is_shortage(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == EMFILE || error == ENFILE ||
           error == EIO;
}

/* A socket that was reset gives its unread bytes first (tcp_recvmsg(), tcp_splice_read()), and
 * there are no more of them than its buffer holds. */
static void flush(struct session *s, struct side *failed)
{
    bool up = failed == &s->client;
    struct flow *f = up ? &s->up : &s->down;
    struct side *dst = up ? &s->server : &s->client;
    if (s->connected == 0 || dst->fd == -1)
        return;
    side_set(failed, SIDE_READABLE | SIDE_ENDED);
    side_set(dst, SIDE_WRITABLE);
    f->allowed = FLOW_UNLIMITED;
    while (flow_pump(f, failed, dst, &s->home->mover) == FLOW_AGAIN)
        ;
}

static void fail(struct session *s, struct side *failed)
{
    flush(s, failed);
    life_end(s, failed == &s->client ? SESSION_END_CLIENT_RESET : SESSION_END_SERVER_RESET);
}

/* Runs one direction. Returns false when that has ended the session. */
static bool pump(struct session *s, struct flow *f, struct side *src, struct side *dst)
{
    int rc = flow_pump(f, src, dst, &s->home->mover);
    if (rc >= 0) {
        if (rc == FLOW_AGAIN)
            session_want_turn(s);
        return true;
    }
    if (is_shortage(-rc))
        life_end(s, SESSION_END_RESOURCE);
    else
        fail(s, f->sink_failed ? dst : src);
    return false;
}

/* The source has ended and all is delivered: FIN is passed on, unless it was the second one, which
 * close() passes on. */
static void pass_fin(struct session *s, bool *ended, enum session_end who, struct side *dst)
{
    *ended = true;
    if (s->first_fin != SESSION_END_NONE)
        return;
    s->first_fin = who;
    s->active = life_now(s);
    if (s->up.state == FLOW_DONE && s->down.state == FLOW_DONE)
        return;
    /* fails on a dead socket alone, of which an event tells */
    (void)kernel_shutdown(dst->fd, SHUT_WR);
    life_arm(s);
}

static void open_valves(struct session *s)
{
    throttle_open(&s->throttle->up, &s->up, life_now(s));
    throttle_open(&s->throttle->down, &s->down, life_now(s));
}

static void close_valves(struct session *s)
{
    throttle_close(&s->throttle->up, &s->up);
    throttle_close(&s->throttle->down, &s->down);
    life_arm(s); /* for when there is more to be had */
}

/* What has been moved since there were so many bytes. */
static void count(struct session *s, uint64_t up, uint64_t down)
{
    up = s->up.bytes - up;
    down = s->down.bytes - down;
    if (up + down > LONG_MESSAGE)
        vigil_break(&s->home->poller->vigil);
    if (up == 0 && down == 0)
        return;
    s->active = life_now(s);
    tally_add(&s->home->tallies, s->tally, up, down, s->active);
}

void relay_fail(struct session *s, struct side *failed)
{
    uint64_t up = s->up.bytes;
    uint64_t down = s->down.bytes;
    fail(s, failed);
    count(s, up, down);
}

/* Returns false when that has ended the session. */
static bool pump_both(struct session *s)
{
    uint64_t up = s->up.bytes;
    uint64_t down = s->down.bytes;
    bool goes_on =
        pump(s, &s->up, &s->client, &s->server) && pump(s, &s->down, &s->server, &s->client);
    count(s, up, down);
    return goes_on;
}

void relay_turn(struct session *s)
{
    if (s->throttle != NULL)
        open_valves(s);
    if (!pump_both(s))
        return;
    if (s->throttle != NULL)
        close_valves(s);
    if (life_has_guessed(s))
        life_arm(s);
    if (s->up.state == FLOW_DONE && !s->up_ended)
        pass_fin(s, &s->up_ended, SESSION_END_CLIENT_FIN, &s->server);
    if (s->down.state == FLOW_DONE && !s->down_ended)
        pass_fin(s, &s->down_ended, SESSION_END_SERVER_FIN, &s->client);
    if (s->up_ended && s->down_ended)
        life_end(s, (enum session_end)s->first_fin);
}
