#include "session/relay.h"

#include <errno.h>
#include <sys/socket.h>

#include "relay/sock.h"
#include "session/rate_limit.h"
#include "session/session_close.h"
#include "session/session_timers.h"
#include "session/tls_switch.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

/* With more bytes than this in a wake-up, throughput matters more than latency. */
#define LONG_MESSAGE (8 * 1024)

/* Errors of this machine: no memory, no descriptors. */
static bool is_shortage(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == EMFILE || error == ENFILE ||
           error == EIO;
}

/* Delivers what a side received before it failed. A socket that was reset still returns its unread
 * bytes (tcp_recvmsg(), tcp_splice_read()), at most what its buffer holds. */
static void relay_flush(struct session *s, struct side *failed)
{
    bool up = failed == &s->client;
    struct flow *f = up ? &s->up : &s->down;
    struct side *dst = up ? &s->server : &s->client;
    if (s->connected == 0 || dst->fd == -1)
        return;
    side_set(failed, SIDE_READABLE | SIDE_ENDED);
    side_set(dst, SIDE_WRITABLE);
    f->allowed = FLOW_UNLIMITED;
    f->cut = true; /* no close_notify: a read may return 0 now */
    while (flow_pump(f, failed, dst, &s->sessions->relay_stock) == FLOW_AGAIN)
        ;
}

static enum session_end reset_of(const struct session *s, const struct side *sd)
{
    return sd == &s->client ? SESSION_END_CLIENT_RESET : SESSION_END_SERVER_RESET;
}

/* A peer with TLS answers a stream that was cut by an alert and a reset: it is the other one that
 * has ended the session. The alert may be among the last bytes. */
static void relay_close_failed(struct session *s, struct side *failed)
{
    bool is_client = failed == &s->client;
    const struct flow *to_failed = is_client ? &s->down : &s->up;
    bool was_cut = to_failed->cut && to_failed->state == FLOW_DONE;
    relay_flush(s, failed);
    tls_side_note_error(failed->tls, 0, false);
    session_close(s, reset_of(s, is_client != was_cut ? &s->client : &s->server));
}

/* TLS of the source has ended without close_notify. The sink gets a reset, so that the stream does
 * not look complete; if the sink had ended its own stream before, that was the end of the session.
 */
static void relay_close_cut(struct session *s, const struct side *src, const struct side *dst)
{
    enum session_end why = reset_of(s, src);
    if (s->first_fin != SESSION_END_NONE) {
        why = (enum session_end)s->first_fin;
        if (session_is_shared(s))
            sock_abort(dst->fd);
        else
            sock_reset_on_close(dst->fd);
    }
    session_close(s, why);
}

/* Notes what has failed, for the log and the counters. */
static void note_error(struct session *s, const struct side *failed, bool sends, int error)
{
    if (failed->tls == NULL)
        return;
    tls_side_note_error(failed->tls, error, sends);
    relay_stock_count_error(&s->sessions->relay_stock, error);
}

/* Pumps one direction. Returns false if the session has ended. */
static bool pump(struct session *s, struct flow *f, struct side *src, struct side *dst)
{
    int rc = flow_pump(f, src, dst, &s->sessions->relay_stock);
    if (rc >= 0) {
        if (rc == FLOW_AGAIN)
            session_schedule(s);
        return true;
    }
    note_error(s, f->sink_failed ? dst : src, f->sink_failed, -rc);
    if (rc == -EKEYEXPIRED)
        session_close(s, SESSION_END_TLS_REKEY);
    else if (is_shortage(-rc))
        session_close(s, SESSION_END_RESOURCE);
    else if (flow_is_closing(f) && f->cut && !f->sink_failed)
        relay_close_cut(s, src, dst);
    else
        relay_close_failed(s, f->sink_failed ? dst : src);
    return false;
}

/* The source has ended and everything is delivered: passes FIN on by shutdown(2). The second FIN of
 * a session is passed on by close(2), in close_sides(). */
static void pass_fin(struct session *s, bool *ended, enum session_end who, struct side *dst)
{
    *ended = true;
    if (s->first_fin != SESSION_END_NONE)
        return;
    s->first_fin = who;
    s->active = session_now(s);
    if (s->up.state == FLOW_DONE && s->down.state == FLOW_DONE)
        return;
    /* fails only on a dead socket, for which there is an event */
    (void)shutdown(dst->fd, SHUT_WR);
    session_timers_arm(s);
}

static void grant_rates(struct session *s)
{
    rate_limit_grant(&s->rate_limit->up, &s->up, session_now(s));
    rate_limit_grant(&s->rate_limit->down, &s->down, session_now(s));
}

static void charge_rates(struct session *s)
{
    rate_limit_charge(&s->rate_limit->up, &s->up);
    rate_limit_charge(&s->rate_limit->down, &s->down);
    session_timers_arm(s); /* for the time when the limit allows more */
}

/* Whether a peer has taken bytes that were counted before, or sent part of a record. */
static bool has_moved(struct session *s)
{
    bool moved = side_is(&s->client, SIDE_MOVED) || side_is(&s->server, SIDE_MOVED);
    side_clear(&s->client, SIDE_MOVED);
    side_clear(&s->server, SIDE_MOVED);
    return moved;
}

/* Counts the bytes moved since the flows had moved `up` and `down` bytes. */
static void relay_count(struct session *s, uint64_t up, uint64_t down)
{
    up = s->up.bytes - up;
    down = s->down.bytes - down;
    if (up + down > LONG_MESSAGE)
        busy_poll_suspend(&s->sessions->set->busy_poll);
    if (up == 0 && down == 0 && !has_moved(s))
        return;
    s->active = session_now(s);
    server_stats_add(&s->sessions->server_stats_table, s->server_stats, up, down, s->active);
}

void relay_fail(struct session *s, struct side *failed)
{
    uint64_t up = s->up.bytes;
    uint64_t down = s->down.bytes;
    relay_close_failed(s, failed);
    relay_count(s, up, down);
}

/* Returns false if the session has ended. */
static bool pump_both(struct session *s)
{
    uint64_t up = s->up.bytes;
    uint64_t down = s->down.bytes;
    bool alive =
        pump(s, &s->up, &s->client, &s->server) && pump(s, &s->down, &s->server, &s->client);
    relay_count(s, up, down);
    return alive;
}

/* Gives the server's TLS to the kernel when it is time. Returns false if the session has ended. */
static bool switch_server(struct session *s)
{
    const struct tls_side *t = s->server.tls;
    if (t == NULL || !t->defers)
        return true;
    int rc = tls_switch_deferred(s, &s->server, &pool_conf(s->pool)->tls_limits);
    if (rc < 0)
        session_close(s, SESSION_END_RESOURCE);
    if (rc > 0)
        session_schedule(s);
    return rc >= 0;
}

void relay_process(struct session *s)
{
    if (s->rate_limit != NULL)
        grant_rates(s);
    if (!pump_both(s) || !switch_server(s))
        return;
    if (s->rate_limit != NULL)
        charge_rates(s);
    if (session_has_guessed(s) || session_is_closing_tls(s))
        session_timers_arm(s);
    if (s->up.state == FLOW_DONE && !s->up_ended)
        pass_fin(s, &s->up_ended, SESSION_END_CLIENT_FIN, &s->server);
    if (s->down.state == FLOW_DONE && !s->down_ended)
        pass_fin(s, &s->down_ended, SESSION_END_SERVER_FIN, &s->client);
    if (s->up_ended && s->down_ended)
        session_close(s, (enum session_end)s->first_fin);
}
