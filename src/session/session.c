#include "session/session.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "relay/sock.h"
#include "session/answer.h"
#include "session/connect.h"
#include "session/preread.h"
#include "session/preread_info.h"
#include "session/rate_limit.h"
#include "session/relay.h"
#include "session/session_close.h"
#include "session/session_id.h"
#include "session/session_log.h"
#include "session/session_timers.h"
#include "session/tls_handshake.h"
#include "tls/tls_session_cache.h"
#include "tls/tls_side.h"

/* ms, see may_get_slot() */
#define QUEUE_GRACE 250

#define OWNER(member_ptr, member) \
    ((struct session *)((char *)(member_ptr)-offsetof(struct session, member)))

/* ---- from state to state ---- */

static void session_after_answer(struct session *s, enum answer_result result)
{
    if (result == ANSWER_AGAIN && s->state != SESSION_ENDED)
        session_schedule(s);
}

/* Ends a session whose client has closed the connection and left nothing to relay. If there are
 * unread bytes, it may have closed its own direction only. */
static void end_if_client_left(struct session *s)
{
    int unread = 0;
    int rc = 0;
    if (!side_is(&s->client, SIDE_ENDED))
        return;
    if (s->client.tls != NULL)
        rc = tls_side_has_ended(s->client.tls, s->client.fd);
    else
        rc = ioctl(s->client.fd, SIOCINQ, &unread) == 0 && unread == 0;
    if (rc < 0) {
        tls_side_note_error(s->client.tls, -rc, false);
        relay_stock_count_error(&s->sessions->relay_stock, -rc);
    }
    if (rc != 0)
        session_close(s, rc > 0 ? SESSION_END_CLIENT_FIN : SESSION_END_CLIENT_RESET);
}

static int limit_rate(struct session *s)
{
    const struct config_listen *c = s->frontend->conf;
    if (!rate_limit_is_wanted(c))
        return 0;
    s->rate_limit = rate_limit_new(c, session_now(s));
    return s->rate_limit == NULL ? -ENOMEM : 0;
}

static void begin_relay(struct session *s)
{
    s->state = SESSION_RELAYING;
    if (limit_rate(s) < 0) {
        session_close(s, SESSION_END_RESOURCE);
        return;
    }
    session_timers_arm(s);
    relay_process(s);
}

/* Continues by the result of a function of connect.h. */
static void session_after_connect(struct session *s, enum connect_result result)
{
    switch (result) {
    case CONNECT_REACHED:
        begin_relay(s);
        break;
    case CONNECT_ANSWERS:
        session_after_answer(s, answer_begin(s));
        break;
    case CONNECT_WAITS: /* the client's FIN may have come before the wait */
        if (s->state == SESSION_WAITING)
            end_if_client_left(s);
        break;
    case CONNECT_RESET:
        relay_fail(s, &s->server);
        break;
    case CONNECT_ENDED:
        break;
    }
}

static void session_after_preread(struct session *s, enum preread_result result)
{
    if (result == PREREAD_DONE && s->frontend->conf->tls && s->client.tls == NULL)
        result = tls_handshake_begin(s, s->wait_until);
    if (result != PREREAD_DONE)
        return;
    uint64_t took = session_now(s) - s->began;
    sessions_record(s->sessions, SESSION_PREREAD_TIME, took);
    if (s->preread == NULL)
        s->preread = preread_info_new(took, NULL);
    session_after_connect(s, connect_next(s));
}

/* ---- events ---- */

/* EPOLLERR does not always mean that the connection has failed: SO_ERROR tells. */
static bool has_failed(struct side *sd)
{
    if (!side_is(sd, SIDE_FAILED))
        return false;
    side_clear(sd, SIDE_FAILED);
    return sock_error(sd->fd) != 0;
}

/* A reset of the client is passed on at once, in each state. */
static void session_process(struct session *s)
{
    if (has_failed(&s->client)) {
        relay_fail(s, &s->client);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_PREREADING:
        session_after_preread(s, preread_process(s));
        break;
    case SESSION_HANDSHAKING:
        session_after_preread(s, tls_handshake_process(s));
        break;
    case SESSION_CONNECTING:
        session_after_connect(s, connect_finish(s));
        break;
    case SESSION_SERVER_HANDSHAKING:
        session_after_connect(s, connect_handshake(s));
        break;
    case SESSION_WAITING:
        end_if_client_left(s);
        break;
    case SESSION_RELAYING:
        if (has_failed(&s->server))
            relay_fail(s, &s->server);
        else
            relay_process(s);
        break;
    case SESSION_ANSWERING:
        session_after_answer(s, answer_process(s));
        break;
    case SESSION_PAUSING:
    case SESSION_ENDED:
        break;
    }
}

/* Notes an event. After a FIN the deadline is earlier (half_close_timeout), even if the FIN cannot
 * be passed on yet. */
static void session_note_event(struct session *s, struct side *sd, uint32_t events)
{
    bool ends = (events & (EPOLLRDHUP | EPOLLHUP)) != 0 && !side_is(sd, SIDE_ENDED);
    side_note(sd, events);
    if (!ends || s->state != SESSION_RELAYING)
        return;
    s->active = session_now(s);
    session_timers_arm(s);
}

static void on_client_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, client.watch);
    if (s->state == SESSION_ENDED)
        return;
    session_note_event(s, &s->client, events);
    session_process(s);
}

static void on_server_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, server.watch);
    if (s->state == SESSION_ENDED)
        return;
    session_note_event(s, &s->server, events);
    session_process(s);
}

/* Whether a session whose queue_timeout is over may still get a slot. Other workers release slots
 * too; after a stall of the process they have QUEUE_GRACE to do so. A session that already got a
 * slot is in the inbox. */
static bool may_get_slot(struct session *s)
{
    uint64_t until = s->sessions->set->resumed + QUEUE_GRACE;
    sessions_connect_granted(s->sessions);
    if (s->state != SESSION_WAITING)
        return true;
    if (s->sessions->set->resumed == 0 || session_now(s) >= until)
        return false;
    timer_wheel_schedule(&s->sessions->timer_wheel, &s->timer, until);
    return true;
}

static void session_expire(struct session *s)
{
    if (session_timers_last_deadline(s) <= s->sessions->set->settled) {
        session_close(s, SESSION_END_SESSION_TIMEOUT);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_PREREADING:
        session_after_preread(s, preread_expire(s));
        break;
    case SESSION_HANDSHAKING:
        session_after_preread(s, tls_handshake_expire(s));
        break;
    case SESSION_WAITING:
        if (!may_get_slot(s))
            session_after_connect(s, connect_expire(s));
        break;
    case SESSION_CONNECTING:
    case SESSION_SERVER_HANDSHAKING:
    case SESSION_PAUSING:
        session_after_connect(s, connect_expire(s));
        break;
    case SESSION_RELAYING:
    case SESSION_ANSWERING:
        session_close(s, session_is_half_closed(s) ? SESSION_END_HALF_CLOSE_TIMEOUT
                                                   : SESSION_END_IDLE_TIMEOUT);
        break;
    case SESSION_ENDED:
        break;
    }
}

static void confirm(struct session *s)
{
    bool up = flow_confirm(&s->up, &s->client);
    bool down = flow_confirm(&s->down, &s->server);
    if (up || down)
        session_process(s);
}

/* If the deadline is over, but events that were ready by then have not all been handled
 * (set->settled, event_set.h), the next wake-up decides. */
static void on_session_due(struct timer_wheel_entry *e, void *arg)
{
    struct session *s = OWNER(e, timer);
    struct sessions *all = arg;
    confirm(s);
    if (session_timers_rate_due(s) <= session_now(s) || session_is_closing_tls(s))
        session_process(s);
    if (s->state == SESSION_ENDED)
        return;
    uint64_t deadline = session_timers_deadline(s);
    if (deadline > session_now(s))
        session_timers_arm(s);
    else if (deadline > all->set->settled || session_has_guessed(s))
        timer_wheel_schedule(&all->timer_wheel, &s->timer, session_now(s));
    else
        session_expire(s);
}

/* ---- all sessions of a worker ---- */

const struct histogram_scale session_histogram_scales[] = {
    /* 1 ms to 33 s */
    [SESSION_CONNECT_TIME] = { .first = 1, .shift = 1 },
    [SESSION_PREREAD_TIME] = { .first = 1, .shift = 1 },
    [SESSION_HANDSHAKE_TIME] = { .first = 1, .shift = 1 },
    [SESSION_SERVER_HANDSHAKE_TIME] = { .first = 1, .shift = 1 },
    [SESSION_QUEUE_TIME] = { .first = 1, .shift = 1 },
    /* 1 ms to 12 days */
    [SESSION_DURATION] = { .first = 1, .shift = 2 },
    /* 64 bytes to 64 GB */
    [SESSION_BYTES] = { .first = 64, .shift = 2 },
};

struct session *session_new(struct sessions *all, struct frontend *frontend)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->sessions = all;
    s->frontend = frontend;
    side_init(&s->client);
    side_init(&s->server);
    flow_init(&s->up, RELAY_UP);
    flow_init(&s->down, RELAY_DOWN);
    timer_wheel_entry_init(&s->timer);
    LIST_INSERT_HEAD(&all->all, s, in_all);
    gauge_add(&all->count, 1);
    return s;
}

/* Behind a proxy, the client is checked when its PROXY header has been read. */
static enum session_end session_admit_peer(struct sessions *all, struct frontend *frontend,
                                           const struct addr_peer *peer)
{
    if (frontend->trusted == NULL)
        return frontend_admit_client(frontend, peer, all->set->now);
    return access_allows(frontend->trusted, peer) ? SESSION_END_NONE : SESSION_END_UNTRUSTED_PROXY;
}

void session_begin(struct sessions *all, struct frontend *frontend, int fd,
                   const struct addr_peer *client)
{
    uint64_t id = session_id_next(all->last_id);
    enum session_end why = session_admit_peer(all, frontend, client);
    counter_add(&all->total, 1);
    frontend_count_connection(frontend);
    if (why != SESSION_END_NONE) {
        session_refuse(all, frontend, fd, client, id, why);
        return;
    }
    struct session *s = session_new(all, frontend);
    if (s == NULL) {
        if (frontend->trusted == NULL)
            frontend_release_client(frontend, client, all->set->now);
        session_refuse(all, frontend, fd, client, id, SESSION_END_RESOURCE);
        return;
    }
    s->id = id;
    s->began = s->active = session_now(s);
    s->client_addr = *client;
    s->admitted = frontend->trusted == NULL;
    session_set_pool(s, frontend->pool);
    bool tcp = client->sa.sa_family != AF_UNIX;
    if (side_open(&s->client, fd, tcp, all->set, on_client_event) < 0) {
        s->client.fd = fd; /* not watched, but the session must close it */
        session_close(s, SESSION_END_RESOURCE);
    } else if (preread_is_wanted(frontend)) {
        session_after_preread(s, preread_begin(s));
    } else if (frontend->conf->tls) {
        session_after_preread(s, tls_handshake_begin(s, preread_deadline(s)));
    } else {
        session_after_connect(s, connect_next(s));
    }
}

int session_resume(struct session *s)
{
    if (s->state == SESSION_RELAYING && limit_rate(s) < 0)
        return -ENOMEM;
    if (s->target != NULL && s->connected != 0)
        s->server_stats = server_stats_get(&s->sessions->server_stats_table, s->target);
    session_timers_arm(s);
    return 0;
}

void session_requeue(struct session *s)
{
    if (s->state == SESSION_WAITING)
        session_after_connect(s, connect_requeue(s));
}

/* Processes the sessions that were scheduled in the last wake-up. To be called before timeouts. */
static void run_scheduled(struct sessions *all)
{
    struct session_queue queue = all->scheduled;
    SLIST_INIT(&all->scheduled);
    struct session *s;
    while ((s = SLIST_FIRST(&queue)) != NULL) {
        SLIST_REMOVE_HEAD(&queue, in_scheduled);
        s->scheduled = false;
        if (s->state != SESSION_ENDED)
            session_process(s);
    }
}

void sessions_init(struct sessions *all, struct event_set *set, _Atomic uint64_t *last_id,
                   void (*ended)(struct sessions *all, void *arg), void *arg,
                   void (*wake)(struct inbox *in))
{
    all->set = set;
    all->on_client_event = on_client_event;
    all->on_server_event = on_server_event;
    inbox_init(&all->inbox, wake);
    timer_wheel_init(&all->timer_wheel, set->now);
    all->fd_reserve.fd = -1;
    fd_reserve_fill(&all->fd_reserve);
    LIST_INIT(&all->all);
    LIST_INIT(&all->dead);
    LIST_INIT(&all->iters);
    SLIST_INIT(&all->scheduled);
    atomic_init(&all->count.value, 0);
    server_stats_table_init(&all->server_stats_table);
    all->last_id = last_id;
    all->ended = ended;
    all->arg = arg;
}

void sessions_fini(struct sessions *all)
{
    assert(gauge_get(&all->count) == 0);
    fd_reserve_release(&all->fd_reserve);
    tls_session_cache_free(all->tls_sessions);
    inbox_fini(&all->inbox);
}

bool sessions_are_busy(const struct sessions *all)
{
    return !SLIST_EMPTY(&all->scheduled);
}

uint64_t sessions_due(const struct sessions *all)
{
    uint64_t timer_wheel =
        timer_wheel_next_due(&all->timer_wheel); /* at most one turn of the wheel away */
    uint64_t server_stats_table = server_stats_table_due(&all->server_stats_table);
    return timer_wheel < server_stats_table ? timer_wheel : server_stats_table;
}

void sessions_process(struct sessions *all)
{
    run_scheduled(all);
    sessions_reap_unscheduled(all); /* first: sessions may wait for the slots that this releases */
    timer_wheel_advance(&all->timer_wheel, all->set->now, on_session_due, all);
    server_stats_table_flush(&all->server_stats_table, all->set->now);
    sessions_reap_unscheduled(all);
}

void sessions_connect_granted(struct sessions *all)
{
    struct waiter *w;
    while ((w = inbox_pop(&all->inbox)) != NULL) {
        struct session *s = ((struct slot_wait *)w)->session; /* its first member */
        session_after_connect(s, connect_granted(s));
    }
}
