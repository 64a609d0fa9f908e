#include "session/session_close.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "relay/sock.h"
#include "session/preread_info.h"
#include "session/session_iter.h"
#include "session/session_log.h"
#include "session/session_timers.h"
#include "tls/tls_side.h"

/* Reads of bytes that nothing needs, before a socket is closed. */
#define DISCARDS_MAX 16

/* ---- what a session has of its pool ---- */

void session_free_tried(struct session *s)
{
    free(s->tried);
    s->tried = NULL;
}

void session_set_pool(struct session *s, struct pool *p)
{
    if (s->pool != NULL)
        pool_unref(s->pool);
    s->pool = p;
    s->pool_attempts = 0;
    s->queue_since = 0;
    session_free_tried(s);
    if (p != NULL)
        pool_ref(p);
}

void session_release_server(struct session *s)
{
    if (s->target == NULL)
        return;
    server_stats_put(s->server_stats);
    s->server_stats = NULL;
    pool_release(s->pool, s->target, session_now(s));
    if (s->ended_by == SESSION_END_REBALANCE)
        server_leave_end(s->target); /* after the slot: server_leave_begin() */
    s->target = NULL;
}

void session_end_wait(struct session *s)
{
    uint64_t waited = session_now(s) - s->wait->began;
    sessions_record(s->sessions, SESSION_QUEUE_TIME, waited);
    s->queued_ms += (uint32_t)waited;
    free(s->wait);
    s->wait = NULL;
}

void session_cancel_wait(struct session *s)
{
    if (s->wait == NULL)
        return;
    pool_cancel(s->pool, &s->wait->waiter, session_now(s));
    session_end_wait(s);
}

static void session_release_pool(struct session *s)
{
    if (s->target != NULL && s->connected == 0)
        pool_connect_cancelled(s->pool, s->target, session_now(s));
    session_cancel_wait(s);
    session_release_server(s);
    session_set_pool(s, NULL);
}

/* ---- marked as ended ---- */

/* A connect that nothing waits for any more. Otherwise a server that does not answer would look
 * fast to balance = least_time if clients leave before connect_timeout. */
static void report_abandoned(const struct session *s)
{
    uint64_t ms = session_now(s) - s->active;
    bool connects = s->state == SESSION_CONNECTING || s->state == SESSION_SERVER_HANDSHAKING;
    if (connects && s->target != NULL && s->connected == 0 && ms > 1)
        pool_connect_abandoned(s->pool, s->target, (ms - 1) * 1000, session_now(s));
}

/* A client that has sent no hello has begun no handshake, unless it took too long. */
static void count_failed_handshake(const struct session *s, enum session_end why)
{
    bool late = why == SESSION_END_TLS_TIMEOUT;
    if (s->state == SESSION_HANDSHAKING && (late || s->client.tls != NULL))
        frontend_count_handshake(s->frontend, late ? TLS_HANDSHAKE_TIMEOUT : TLS_HANDSHAKE_FAILED,
                                 0);
}

/* A handshake with a server that the session does not wait for any more is no failure of that. One
 * that has failed was counted, and its server released. */
static void count_cancelled_handshake(const struct session *s)
{
    if (s->state == SESSION_SERVER_HANDSHAKING && s->target != NULL)
        counter_add_shared(&s->target->counter[SERVER_TLS_CANCELLED], 1);
}

void session_close(struct session *s, enum session_end why)
{
    assert(s->state != SESSION_ENDED);
    count_failed_handshake(s, why);
    count_cancelled_handshake(s);
    if ((s->state == SESSION_PREREADING || s->state == SESSION_HANDSHAKING) && s->preread == NULL)
        s->preread = preread_info_new(session_now(s) - s->began, NULL);
    report_abandoned(s);
    s->state = SESSION_ENDED;
    s->ended_by = (uint8_t)why;
    timer_wheel_cancel(&s->sessions->timer_wheel, &s->timer);
    session_iter_skip(s);
    LIST_REMOVE(s, in_all);
    LIST_INSERT_HEAD(&s->sessions->dead, s, in_all);
}

void sessions_close_all(struct sessions *all, enum session_end why)
{
    struct session *s;
    while ((s = LIST_FIRST(&all->all)) != NULL)
        session_close(s, why);
}

void sessions_close_on_server(struct sessions *all, const struct server *srv, enum session_end why)
{
    struct session *s = LIST_FIRST(&all->all);
    while (s != NULL) {
        struct session *next = LIST_NEXT(s, in_all);
        if (s->target == srv && s->state == SESSION_RELAYING)
            session_close(s, why);
        s = next;
    }
}

/* ---- its sockets ---- */

bool session_is_shared(const struct session *s)
{
    return s->staged || s->inherited || s->sessions->shared;
}

void session_unwatch(struct session *s, const struct side *sd)
{
    if (sd->fd != -1 && session_is_shared(s))
        event_set_remove(s->sessions->set, sd->fd);
}

/* While another process has the sockets open, close() would send nothing to the peers. */
static void end_shared_side(struct session *s, const struct side *sd, bool orderly)
{
    if (sd->fd == -1)
        return;
    session_unwatch(s, sd);
    if (orderly)
        (void)shutdown(sd->fd, SHUT_WR);
    else
        sock_abort(sd->fd);
}

/* Unread bytes would make close(2) a reset. */
static void discard_input(const struct session *s, const struct side *sd)
{
    const struct relay_stock *stock = &s->sessions->relay_stock;
    ssize_t n = 1;
    for (int i = 0; i < DISCARDS_MAX && n > 0; i++)
        n = recv(sd->fd, stock->buffer, stock->buffer_size, MSG_TRUNC | MSG_DONTWAIT);
}

static void close_after_alert(struct session *s)
{
    (void)shutdown(s->client.fd, SHUT_WR);
    discard_input(s, &s->client);
    side_close_both(&s->client, &s->server);
}

/* A peer must send nothing after close_notify. If it does, what is queued for it arrives anyway. */
static void close_orderly(struct session *s)
{
    if (side_is(&s->client, SIDE_TLS) && side_is(&s->client, SIDE_READABLE))
        discard_input(s, &s->client);
    if (side_is(&s->server, SIDE_TLS) && side_is(&s->server, SIDE_READABLE))
        discard_input(s, &s->server);
    side_close_both(&s->client, &s->server);
}

static void close_sides(struct session *s, enum session_end why)
{
    bool orderly = session_end_is_orderly(why);
    bool alert = why == SESSION_END_TLS_FAILED; /* a reset could overtake it */
    if (session_is_shared(s)) {
        end_shared_side(s, &s->client, orderly || alert);
        end_shared_side(s, &s->server, orderly);
    }
    if (orderly) { /* both directions have ended: close() passes the second FIN on */
        close_orderly(s);
    } else if (alert) {
        close_after_alert(s);
    } else { /* the peers must not take a stream that was cut for a complete one */
        side_reset_both(&s->client, &s->server);
    }
}

static void release_client(struct session *s)
{
    if (s->admitted)
        frontend_release_client(s->frontend, &s->client_addr, session_now(s));
    s->admitted = false;
}

/* Frees everything but the sockets. */
static void session_free(struct session *s, enum session_end why)
{
    flow_fini(&s->up, &s->sessions->relay_stock);
    flow_fini(&s->down, &s->sessions->relay_stock);
    answer_file_unref(s->file);
    session_release_pool(s);
    release_client(s);
    frontend_end_session(s->frontend, why);
    free(s->proxy_info);
    free(s->preread);
    free(s->rate_limit);
    tls_side_free(s->client.tls);
    tls_side_free(s->server.tls);
    free(s);
}

/* ---- reaped ---- */

static void count_end(struct sessions *all, enum session_end why, uint64_t duration, uint64_t bytes)
{
    counter_add(&all->ends[why], 1);
    sessions_record(all, SESSION_DURATION, duration);
    sessions_record(all, SESSION_BYTES, bytes);
}

static void session_reap(struct session *s)
{
    struct sessions *all = s->sessions;
    enum session_end why = (enum session_end)s->ended_by;
    release_client(s); /* before the client can see that it may come again */
    session_log_end(s, why, session_now(s));
    count_end(all, why, session_now(s) - s->began, s->up.bytes + s->down.bytes);
    frontend_count_end(s->frontend, s->pool, why);
    if (session_end_is_failure(why))
        pool_count_failure(s->pool);
    close_sides(s, why);
    session_free(s, why);
    gauge_add(&all->count, -1);
    all->ended(all, all->arg);
}

void sessions_reap_unscheduled(struct sessions *all)
{
    struct session *s = LIST_FIRST(&all->dead);
    while (s != NULL) {
        struct session *next = LIST_NEXT(s, in_all);
        if (!s->scheduled) {
            LIST_REMOVE(s, in_all);
            session_reap(s);
        }
        s = next;
    }
}

void sessions_reap(struct sessions *all)
{
    struct session_queue queue = all->scheduled;
    SLIST_INIT(&all->scheduled);
    struct session *s;
    while ((s = SLIST_FIRST(&queue)) != NULL) {
        SLIST_REMOVE_HEAD(&queue, in_scheduled);
        s->scheduled = false;
        if (s->state != SESSION_ENDED)
            session_schedule(s);
    }
    sessions_reap_unscheduled(all);
}

/* ---- others ---- */

void session_discard(struct session *s)
{
    struct sessions *all = s->sessions;
    session_iter_skip(s);
    LIST_REMOVE(s, in_all);
    session_unwatch(s, &s->client);
    session_unwatch(s, &s->server);
    side_close(&s->client);
    side_close(&s->server);
    session_free(s, SESSION_END_NONE);
    gauge_add(&all->count, -1);
}

void sessions_keep_rest(struct sessions *all, bool (*stays)(const struct session *s))
{
    struct session *s = LIST_FIRST(&all->all);
    SLIST_INIT(&all->scheduled);
    all->shared = true;
    while (s != NULL) {
        struct session *next = LIST_NEXT(s, in_all);
        bool scheduled = s->scheduled;
        s->scheduled = false;
        if (!stays(s)) {
            timer_wheel_cancel(&all->timer_wheel, &s->timer);
            session_discard(s);
        } else if (scheduled) {
            session_schedule(s);
        }
        s = next;
    }
    all->shared = false;
}

void session_refuse(struct sessions *all, struct frontend *frontend, int fd,
                    const struct addr_peer *client, uint64_t id, enum session_end why)
{
    struct session s = { .sessions = all, .frontend = frontend, .pool = frontend->pool };
    s.id = id;
    s.began = session_now(&s);
    s.client.fd = fd;
    s.client_addr = *client;
    session_log_end(&s, why, s.began);
    count_end(all, why, 0, 0);
    frontend_count_end(frontend, frontend->pool, why);
    sock_reset(fd);
    frontend_end_session(frontend, why);
}
