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
#include "session/greet.h"
#include "session/life.h"
#include "session/preread_info.h"
#include "session/relay.h"
#include "session/session_log.h"
#include "session/throttle.h"
#include "session/tour.h"

/* ms, see may_get_place() */
#define QUEUE_GRACE 250

#define OWNER(member_ptr, member) \
    ((struct session *)((char *)(member_ptr)-offsetof(struct session, member)))

/* ---- the end ---- */

/* Another process may have the sockets open as well: then close() would tell the peers nothing yet.
 */
static void end_shared_side(struct session *s, const struct side *sd, bool orderly)
{
    if (sd->fd == -1)
        return;
    life_unwatch(s, sd);
    if (orderly)
        (void)shutdown(sd->fd, SHUT_WR);
    else
        sock_abort(sd->fd);
}

static void close_sides(struct session *s, enum session_end why)
{
    if (life_is_shared(s)) {
        end_shared_side(s, &s->client, session_end_is_orderly(why));
        end_shared_side(s, &s->server, session_end_is_orderly(why));
    }
    if (session_end_is_orderly(
            why)) { /* both directions have ended: close() passes the second FIN on */
        side_close_both(&s->client, &s->server);
    } else { /* nobody shall take a stream that was cut for a complete one */
        side_reset_both(&s->client, &s->server);
    }
}

static void dismiss(struct session *s)
{
    if (s->admitted)
        service_dismiss(s->service, &s->client_addr, life_now(s));
    s->admitted = false;
}

/* Whatever it has but its sockets. */
static void release(struct session *s, enum session_end why)
{
    flow_fini(&s->up, &s->home->mover);
    flow_fini(&s->down, &s->home->mover);
    answer_leave(s);
    connect_leave(s);
    dismiss(s);
    service_leave(s->service, why);
    free(s->learned);
    free(s->preread);
    free(s->throttle);
    free(s);
}

const struct histogram_scale sessions_connect_scale = { .first = 1, .shift = 1 };
const struct histogram_scale sessions_duration_scale = { .first = 1, .shift = 2 };
const struct histogram_scale sessions_bytes_scale = { .first = 64, .shift = 2 };

static void count_end(struct sessions *all, enum session_end why, uint64_t duration, uint64_t bytes)
{
    counter_add(&all->ends[why], 1);
    histogram_add(&all->duration, &sessions_duration_scale, duration);
    histogram_add(&all->bytes, &sessions_bytes_scale, bytes);
}

static void bury(struct session *s)
{
    struct sessions *all = s->home;
    enum session_end why = (enum session_end)s->ended_by;
    dismiss(s); /* before the client can see that it may come again */
    session_log_end(s, why, life_now(s));
    count_end(all, why, life_now(s) - s->began, s->up.bytes + s->down.bytes);
    service_count_end(s->service, s->pool, why);
    if (session_end_is_failure(why))
        pool_count_failure(s->pool);
    close_sides(s, why);
    release(s, why);
    gauge_add(&all->count, -1);
    all->ended(all, all->arg);
}

/* One that still stands in the queue of the busy comes a wake-up later. */
static void bury_dead(struct sessions *all)
{
    struct session *s = LIST_FIRST(&all->dead);
    while (s != NULL) {
        struct session *next = LIST_NEXT(s, in_all);
        if (!s->busy) {
            LIST_REMOVE(s, in_all);
            bury(s);
        }
        s = next;
    }
}

/* ---- from state to state ---- */

void session_want_turn(struct session *s)
{
    if (s->busy)
        return;
    s->busy = true;
    SLIST_INSERT_HEAD(&s->home->busy, s, in_busy);
}

static void answer(struct session *s, enum answer_result result)
{
    if (result == ANSWER_AGAIN && s->state != SESSION_ENDED)
        session_want_turn(s);
}

/* One that has sent nothing and has closed wants nothing any more. With bytes unread it may be one
 * that has closed its own direction only. */
static bool has_left(const struct session *s)
{
    int unread = 0;
    return side_is(&s->client, SIDE_ENDED) && ioctl(s->client.fd, SIOCINQ, &unread) == 0 &&
           unread == 0;
}

static int limit_rate(struct session *s)
{
    const struct config_listen *c = s->service->conf;
    if (!throttle_is_wanted(c))
        return 0;
    s->throttle = throttle_new(c, life_now(s));
    return s->throttle == NULL ? -ENOMEM : 0;
}

static void begin_relay(struct session *s)
{
    s->state = SESSION_RELAYING;
    if (limit_rate(s) < 0) {
        life_end(s, SESSION_END_RESOURCE);
        return;
    }
    life_arm(s);
    relay_turn(s);
}

/* What finding a server has come to. */
static void proceed(struct session *s, enum connect_result result)
{
    switch (result) {
    case CONNECT_REACHED:
        begin_relay(s);
        break;
    case CONNECT_ANSWERS:
        answer(s, answer_begin(s));
        break;
    case CONNECT_WAITS: /* the client's FIN may have come before there was a wait */
        if (s->state == SESSION_WAITING && has_left(s))
            life_end(s, SESSION_END_CLIENT_FIN);
        break;
    case CONNECT_ENDED:
        break;
    }
}

static void welcome(struct session *s, enum greet_result result)
{
    if (result != GREET_DONE)
        return;
    uint64_t took = life_now(s) - s->began;
    histogram_add(&s->home->preread_time, &sessions_connect_scale, took);
    if (s->preread == NULL)
        s->preread = preread_info_new(took, NULL);
    proceed(s, connect_next(s));
}

/* ---- events ---- */

/* EPOLLERR may be about nothing that ends a stream: SO_ERROR knows. */
static bool has_failed(struct side *sd)
{
    if (!side_is(sd, SIDE_FAILED))
        return false;
    side_clear(sd, SIDE_FAILED);
    return sock_error(sd->fd) != 0;
}

/* A reset goes on at once, whatever the other side is doing. */
static void turn(struct session *s)
{
    if (has_failed(&s->client)) {
        relay_fail(s, &s->client);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_GREETING:
        welcome(s, greet_turn(s));
        break;
    case SESSION_CONNECTING:
        proceed(s, connect_finish(s));
        break;
    case SESSION_WAITING:
        if (has_left(s))
            life_end(s, SESSION_END_CLIENT_FIN);
        break;
    case SESSION_RELAYING:
        if (has_failed(&s->server))
            relay_fail(s, &s->server);
        else
            relay_turn(s);
        break;
    case SESSION_ANSWERING:
        answer(s, answer_turn(s));
        break;
    case SESSION_PAUSING:
    case SESSION_ENDED:
        break;
    }
}

/* Takes in an event. The end of a direction makes the deadline nearer, even when it cannot be
 * passed on yet. */
static void note(struct session *s, struct side *sd, uint32_t events)
{
    bool ends = (events & (EPOLLRDHUP | EPOLLHUP)) != 0 && !side_is(sd, SIDE_ENDED);
    side_note(sd, events);
    if (!ends || s->state != SESSION_RELAYING)
        return;
    s->active = life_now(s);
    life_arm(s);
}

static void on_client_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, client.watch);
    if (s->state == SESSION_ENDED)
        return;
    note(s, &s->client, events);
    turn(s);
}

static void on_server_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, server.watch);
    if (s->state == SESSION_ENDED)
        return;
    note(s, &s->server, events);
    turn(s);
}

/* A place is freed by other workers as well, which may have been stopped like this one: they have
 * this long to look. Those that have been granted a place are in the inbox. */
static bool may_get_place(struct session *s)
{
    uint64_t until = s->home->poller->resumed + QUEUE_GRACE;
    sessions_grant(s->home);
    if (s->state != SESSION_WAITING)
        return true;
    if (s->home->poller->resumed == 0 || life_now(s) >= until)
        return false;
    wheel_set(&s->home->wheel, &s->timer, until);
    return true;
}

static void expire(struct session *s)
{
    if (life_last_deadline(s) <= s->home->poller->settled) {
        life_end(s, SESSION_END_SESSION_TIMEOUT);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_GREETING:
        welcome(s, greet_expire(s));
        break;
    case SESSION_WAITING:
        if (!may_get_place(s))
            proceed(s, connect_expire(s));
        break;
    case SESSION_CONNECTING:
    case SESSION_PAUSING:
        proceed(s, connect_expire(s));
        break;
    case SESSION_RELAYING:
    case SESSION_ANSWERING:
        life_end(s, life_is_half_closed(s) ? SESSION_END_HALF_CLOSE_TIMEOUT
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
        turn(s);
}

/* When its time is over, but not all has been looked at that was ready by then (poller.h), the next
 * wake-up decides. */
static void on_due(struct wheel_entry *e, void *arg)
{
    struct session *s = OWNER(e, timer);
    struct sessions *all = arg;
    confirm(s);
    if (life_throttled_until(s) <= life_now(s))
        turn(s);
    if (s->state == SESSION_ENDED)
        return;
    uint64_t deadline = life_deadline(s);
    if (deadline > life_now(s))
        life_arm(s);
    else if (deadline > all->poller->settled || life_has_guessed(s))
        wheel_set(&all->wheel, &s->timer, life_now(s));
    else
        expire(s);
}

/* ---- all sessions of a worker ---- */

struct session *session_new(struct sessions *all, struct service *service)
{
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->home = all;
    s->service = service;
    side_init(&s->client);
    side_init(&s->server);
    flow_init(&s->up, MOVER_UP);
    flow_init(&s->down, MOVER_DOWN);
    wheel_entry_init(&s->timer);
    LIST_INSERT_HEAD(&all->all, s, in_all);
    gauge_add(&all->count, 1);
    return s;
}

/* Sends a client away before anything is allocated for it. */
static void refuse(struct sessions *all, struct service *service, int fd,
                   const struct addr_peer *client, uint64_t id, enum session_end why)
{
    struct session s = { .home = all, .service = service, .pool = service->pool };
    s.id = id;
    s.began = life_now(&s);
    s.client.fd = fd;
    s.client_addr = *client;
    session_log_end(&s, why, s.began);
    count_end(all, why, 0, 0);
    service_count_end(service, service->pool, why);
    sock_reset(fd);
    service_leave(service, why);
}

/* Whether the client itself is let in is decided when it is known who that is. */
static enum session_end look_at(struct sessions *all, struct service *service,
                                const struct addr_peer *peer)
{
    if (service->trusted == NULL)
        return service_admit(service, peer, all->poller->now);
    return access_allows(service->trusted, peer) ? SESSION_END_NONE : SESSION_END_UNTRUSTED_PROXY;
}

void session_begin(struct sessions *all, struct service *service, int fd,
                   const struct addr_peer *client)
{
    uint64_t id = atomic_fetch_add_explicit(all->last_id, 1, memory_order_relaxed) + 1;
    enum session_end why = look_at(all, service, client);
    counter_add(&all->total, 1);
    service_count(service);
    if (why != SESSION_END_NONE) {
        refuse(all, service, fd, client, id, why);
        return;
    }
    struct session *s = session_new(all, service);
    if (s == NULL) {
        if (service->trusted == NULL)
            service_dismiss(service, client, all->poller->now);
        refuse(all, service, fd, client, id, SESSION_END_RESOURCE);
        return;
    }
    s->id = id;
    s->began = s->active = life_now(s);
    s->client_addr = *client;
    s->admitted = service->trusted == NULL;
    connect_enter(s, service->pool);
    bool tcp = client->sa.sa_family != AF_UNIX;
    if (side_open(&s->client, fd, tcp, all->poller, on_client_event) < 0) {
        s->client.fd = fd; /* not watched, but ours to close */
        life_end(s, SESSION_END_RESOURCE);
    } else if (greet_is_wanted(service)) {
        welcome(s, greet_begin(s));
    } else {
        proceed(s, connect_next(s));
    }
}

int session_take_up(struct session *s)
{
    if (s->state == SESSION_RELAYING && limit_rate(s) < 0)
        return -ENOMEM;
    if (s->backend != NULL && s->connected != 0)
        s->tally = tally_get(&s->home->tallies, s->backend);
    life_arm(s);
    return 0;
}

void session_wait_on(struct session *s)
{
    if (s->state == SESSION_WAITING)
        proceed(s, connect_wait_on(s));
}

void session_forget(struct session *s)
{
    struct sessions *all = s->home;
    tour_leave(s);
    LIST_REMOVE(s, in_all);
    life_unwatch(s, &s->client);
    life_unwatch(s, &s->server);
    side_close(&s->client);
    side_close(&s->server);
    release(s, SESSION_END_NONE);
    gauge_add(&all->count, -1);
}

/* Whoever did its share in the last wake-up, before anything new. */
static void run_busy(struct sessions *all)
{
    struct session_queue queue = all->busy;
    SLIST_INIT(&all->busy);
    struct session *s;
    while ((s = SLIST_FIRST(&queue)) != NULL) {
        SLIST_REMOVE_HEAD(&queue, in_busy);
        s->busy = false;
        if (s->state != SESSION_ENDED)
            turn(s);
    }
}

void sessions_init(struct sessions *all, struct poller *poller, _Atomic uint64_t *last_id,
                   void (*ended)(struct sessions *all, void *arg), void *arg,
                   void (*wake)(struct inbox *in))
{
    all->poller = poller;
    all->on_client_event = on_client_event;
    all->on_server_event = on_server_event;
    inbox_init(&all->inbox, wake);
    wheel_init(&all->wheel, poller->now);
    all->reserve.fd = -1;
    reserve_fill(&all->reserve);
    LIST_INIT(&all->all);
    LIST_INIT(&all->dead);
    LIST_INIT(&all->tours);
    SLIST_INIT(&all->busy);
    atomic_init(&all->count.value, 0);
    tallies_init(&all->tallies);
    all->last_id = last_id;
    all->ended = ended;
    all->arg = arg;
}

void sessions_fini(struct sessions *all)
{
    assert(gauge_get(&all->count) == 0);
    reserve_spend(&all->reserve);
    inbox_fini(&all->inbox);
}

static int patience(const struct sessions *all, uint64_t until)
{
    uint64_t wheel = wheel_due(&all->wheel);
    uint64_t tallies = tallies_due(&all->tallies);
    uint64_t now = all->poller->now;
    uint64_t due = wheel < tallies ? wheel : tallies;
    if (until < due)
        due = until;
    if (!SLIST_EMPTY(&all->busy) || due <= now)
        return 0;
    return due == WHEEL_NEVER ? -1 : (int)(due - now); /* at most one turn of the wheel */
}

void sessions_run(struct sessions *all, uint64_t until)
{
    poller_wait(all->poller, patience(all, until));
    run_busy(all);
    bury_dead(all); /* the places that have come free may be what others wait for */
    wheel_turn(&all->wheel, all->poller->now, on_due, all);
    tallies_flush(&all->tallies, all->poller->now);
    bury_dead(all);
}

void sessions_settle(struct sessions *all)
{
    struct session_queue queue = all->busy;
    SLIST_INIT(&all->busy);
    struct session *s;
    while ((s = SLIST_FIRST(&queue)) != NULL) {
        SLIST_REMOVE_HEAD(&queue, in_busy);
        s->busy = false;
        if (s->state != SESSION_ENDED)
            session_want_turn(s);
    }
    bury_dead(all);
}

void sessions_end_all(struct sessions *all, enum session_end why)
{
    struct session *s;
    while ((s = LIST_FIRST(&all->all)) != NULL)
        life_end(s, why);
}

void sessions_end_on(struct sessions *all, const struct backend *b, enum session_end why)
{
    struct session *s = LIST_FIRST(&all->all);
    while (s != NULL) {
        struct session *next = LIST_NEXT(s, in_all);
        if (s->backend == b && s->state == SESSION_RELAYING)
            life_end(s, why);
        s = next;
    }
}

void sessions_grant(struct sessions *all)
{
    struct waiter *w;
    while ((w = inbox_take(&all->inbox)) != NULL) {
        struct session *s = ((struct place_wait *)w)->session; /* its first member */
        proceed(s, connect_granted(s));
    }
}
