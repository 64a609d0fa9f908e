#include "session/session.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "relay/sock.h"
#include "session/session_log.h"

#define CONFIRM_AFTER 8    /* ms until a read that was taken for all there was is looked at again */
#define PAUSE_MAX     1000 /* ms before the only server of a pool is tried again */

#define OWNER(member_ptr, member) \
    ((struct session *)((char *)(member_ptr)-offsetof(struct session, member)))

static void connect_next(struct session *s);
static void turn(struct session *s);

static uint64_t now_of(const struct session *s)
{
    return uv_now(s->home->poller->loop);
}

/* ---- timeouts: one wheel entry a session; what it means follows from the state ---- */

static uint64_t after(uint64_t start, uint64_t timeout)
{
    return timeout == 0 ? WHEEL_NEVER : start + timeout;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static bool is_half_closed(const struct session *s)
{
    return s->up_ended || s->down_ended;
}

static uint64_t silence_deadline(const struct session *s)
{
    const struct config_listen *c = s->service->conf;
    return after(s->active, is_half_closed(s) ? c->half_close_timeout : c->idle_timeout);
}

static uint64_t life_deadline(const struct session *s)
{
    return after(s->began, s->service->conf->session_timeout);
}

static uint64_t deadline(const struct session *s)
{
    uint64_t at = s->state == SESSION_RELAYING ? silence_deadline(s) : s->wait_until;
    return earlier(at, life_deadline(s));
}

static bool has_guessed(const struct session *s)
{
    return side_is(&s->client, SIDE_GUESSED) || side_is(&s->server, SIDE_GUESSED);
}

/* Activity only moves a deadline away: the entry stays and is looked at when it falls due. */
static void arm(struct session *s)
{
    uint64_t at = deadline(s);
    if (has_guessed(s))
        at = earlier(at, now_of(s) + CONFIRM_AFTER);
    if (at != WHEEL_NEVER && !wheel_covers(&s->timer, at))
        wheel_set(&s->home->wheel, &s->timer, at);
}

/* ---- the end ---- */

static bool is_orderly(enum session_end why)
{
    return why == SESSION_END_CLIENT_FIN || why == SESSION_END_SERVER_FIN;
}

static void release_backend(struct session *s)
{
    if (s->backend != NULL)
        backend_release(s->backend);
    s->backend = NULL;
}

static void close_sides(struct session *s, enum session_end why)
{
    if (is_orderly(why)) { /* both directions have ended: close() passes the second FIN on */
        side_close(&s->client);
        side_close(&s->server);
    } else { /* nobody shall take a stream that was cut for a complete one */
        side_reset(&s->client);
        side_reset(&s->server);
    }
}

/* What is left to do when a session ends waits until the wake-up is over: closing two sockets takes
 * longer than relaying a message, and other sessions' messages are waiting; and later events of
 * this wake-up may still point to the session. */
static void end(struct session *s, enum session_end why)
{
    assert(s->state != SESSION_ENDED);
    s->state = SESSION_ENDED;
    s->ended_by = (uint8_t)why;
    wheel_clear(&s->home->wheel, &s->timer);
    LIST_REMOVE(s, in_all);
    LIST_INSERT_HEAD(&s->home->dead, s, in_all);
}

static void bury(struct session *s)
{
    struct sessions *all = s->home;
    enum session_end why = (enum session_end)s->ended_by;
    session_log_end(s, why, now_of(s));
    counter_add(&all->ends[why], 1);
    close_sides(s, why);
    flow_fini(&s->up, &all->mover);
    flow_fini(&s->down, &all->mover);
    release_backend(s);
    gate_leave(s->service->all);
    gate_leave(&s->service->own);
    free(s->tried);
    free(s);
    all->count--;
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

/* ---- relaying ---- */

static bool is_shortage(int error)
{
    return error == ENOMEM || error == ENOBUFS || error == EMFILE || error == ENFILE ||
           error == EADDRNOTAVAIL || error == EIO;
}

static void want_turn(struct session *s)
{
    if (s->busy)
        return;
    s->busy = true;
    SLIST_INSERT_HEAD(&s->home->busy, s, in_busy);
}

/* Runs one direction. Returns false when that has ended the session. */
static bool pump(struct session *s, struct flow *f, struct side *src, struct side *dst)
{
    int rc = flow_pump(f, src, dst, &s->home->mover);
    if (rc >= 0) {
        if (rc == FLOW_AGAIN)
            want_turn(s);
        return true;
    }
    const struct side *failed = f->sink_failed ? dst : src;
    if (is_shortage(-rc))
        end(s, SESSION_END_RESOURCE);
    else
        end(s, failed == &s->client ? SESSION_END_CLIENT_RESET : SESSION_END_SERVER_RESET);
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
    s->active = now_of(s);
    if (s->up.state == FLOW_DONE && s->down.state == FLOW_DONE)
        return;
    (void)shutdown(dst->fd, SHUT_WR); /* fails on a dead socket alone, of which an event tells */
    arm(s);
}

static void relay(struct session *s)
{
    uint64_t before = s->up.bytes + s->down.bytes;
    if (!pump(s, &s->up, &s->client, &s->server) || !pump(s, &s->down, &s->server, &s->client))
        return;
    if (s->up.bytes + s->down.bytes != before)
        s->active = now_of(s);
    if (has_guessed(s))
        arm(s);
    if (s->up.state == FLOW_DONE && !s->up_ended)
        pass_fin(s, &s->up_ended, SESSION_END_CLIENT_FIN, &s->server);
    if (s->down.state == FLOW_DONE && !s->down_ended)
        pass_fin(s, &s->down_ended, SESSION_END_SERVER_FIN, &s->client);
    if (s->up_ended && s->down_ended)
        end(s, (enum session_end)s->first_fin);
}

static void begin_relay(struct session *s)
{
    s->state = SESSION_RELAYING;
    s->connected = s->active = now_of(s);
    free(s->tried);
    s->tried = NULL;
    arm(s);
    relay(s);
}

/* ---- connecting ---- */

static enum session_end failure_of(int error)
{
    if (error == ETIMEDOUT)
        return SESSION_END_CONNECT_TIMEOUT;
    return is_shortage(error) ? SESSION_END_RESOURCE : SESSION_END_CONNECT_FAILED;
}

static void pause_before_retry(struct session *s)
{
    uint64_t timeout = pool_conf(s->service->pool)->connect_timeout;
    uint64_t pause = timeout != 0 ? earlier(timeout, PAUSE_MAX) : PAUSE_MAX;
    s->state = SESSION_PAUSING;
    s->wait_until = now_of(s) + pause;
    arm(s);
}

/* The attempt on s->backend has failed. Returns false when the session has ended. */
static bool give_up_attempt(struct session *s, int error)
{
    struct pool *pool = s->service->pool;
    session_log_connect_failed(s, error, now_of(s));
    s->failure = (uint8_t)failure_of(error);
    side_close(&s->server);
    bool over = s->attempts > pool_conf(pool)->retries;
    if (!over && !pool_has_one(pool) && pool_mark_tried(pool, &s->tried, s->backend) < 0)
        over = true;
    release_backend(s);
    if (over)
        end(s, (enum session_end)s->failure);
    return !over;
}

static void attempt_failed(struct session *s, int error)
{
    if (!give_up_attempt(s, error))
        return;
    if (pool_has_one(s->service->pool))
        pause_before_retry(s);
    else
        connect_next(s);
}

static void on_server_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, server.watch);
    if (s->state == SESSION_ENDED)
        return;
    side_note(&s->server, events);
    turn(s);
}

/* With the last descriptors gone the reserve serves, and the worker stops accepting until it can
 * be filled again. */
static int open_server_socket(struct session *s)
{
    const struct addr *to = &s->backend->conf->addr;
    int fd = sock_connect(to, &s->service->options);
    if ((fd == -EMFILE || fd == -ENFILE) && reserve_spend(&s->home->reserve))
        fd = sock_connect(to, &s->service->options);
    return fd;
}

/* Returns 0 when the attempt is under way, or -errno. */
static int attempt(struct session *s)
{
    struct sessions *all = s->home;
    s->attempts++;
    s->state = SESSION_CONNECTING;
    s->wait_until = after(now_of(s), pool_conf(s->service->pool)->connect_timeout);
    int fd = open_server_socket(s);
    if (fd < 0)
        return fd;
    bool tcp = !addr_is_unix(&s->backend->conf->addr);
    int rc = side_open(&s->server, fd, tcp, all->poller, on_server_event);
    if (rc < 0)
        sock_reset(fd);
    else
        arm(s);
    return rc;
}

/* Tries servers until an attempt is under way, or the session has ended or pauses. */
static void connect_next(struct session *s)
{
    for (;;) {
        s->backend = pool_pick(s->service->pool, s->tried);
        if (s->backend == NULL) {
            end(s, s->attempts == 0 ? SESSION_END_NO_SERVER : (enum session_end)s->failure);
            return;
        }
        int rc = attempt(s);
        if (rc == 0)
            return;
        if (!give_up_attempt(s, -rc))
            return;
        if (pool_has_one(s->service->pool)) {
            pause_before_retry(s);
            return;
        }
    }
}

/* A refusal is ECONNREFUSED. ECONNRESET, or EPIPE behind a FIN, comes from a server that had
 * accepted, perhaps begun to work: nobody else may be asked to do it again. */
static bool had_accepted(int error)
{
    return error == ECONNRESET || error == EPIPE;
}

static void finish_connect(struct session *s)
{
    if (side_is(&s->server, SIDE_FAILED)) {
        int error = sock_error(s->server.fd);
        if (had_accepted(error)) {
            s->connected = now_of(s);
            end(s, SESSION_END_SERVER_RESET);
        } else {
            attempt_failed(s, error != 0 ? error : ECONNREFUSED);
        }
    } else if (side_is(&s->server, SIDE_WRITABLE)) {
        begin_relay(s);
    }
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
        end(s, SESSION_END_CLIENT_RESET);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_CONNECTING:
        finish_connect(s);
        break;
    case SESSION_RELAYING:
        if (has_failed(&s->server))
            end(s, SESSION_END_SERVER_RESET);
        else
            relay(s);
        break;
    case SESSION_PAUSING:
    case SESSION_ENDED:
        break;
    }
}

static void on_client_event(struct watch *watch, uint32_t events)
{
    struct session *s = OWNER(watch, client.watch);
    if (s->state == SESSION_ENDED)
        return;
    side_note(&s->client, events);
    turn(s);
}

static void expire(struct session *s)
{
    if (life_deadline(s) <= now_of(s)) {
        end(s, SESSION_END_SESSION_TIMEOUT);
        return;
    }
    switch ((enum session_state)s->state) {
    case SESSION_CONNECTING:
        attempt_failed(s, ETIMEDOUT);
        break;
    case SESSION_PAUSING:
        connect_next(s);
        break;
    case SESSION_RELAYING:
        end(s, is_half_closed(s) ? SESSION_END_HALF_CLOSE_TIMEOUT : SESSION_END_IDLE_TIMEOUT);
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

static void on_due(struct wheel_entry *e, void *arg)
{
    struct session *s = OWNER(e, timer);
    (void)arg;
    confirm(s);
    if (s->state == SESSION_ENDED)
        return;
    if (deadline(s) <= now_of(s))
        expire(s);
    else
        arm(s);
}

/* ---- all sessions of a worker ---- */

void session_begin(struct sessions *all, struct service *service, int fd,
                   const struct addr_peer *client)
{
    struct session *s = calloc(1, sizeof *s);
    counter_add(&all->total, 1);
    if (s == NULL) {
        sock_reset(fd);
        counter_add(&all->ends[SESSION_END_RESOURCE], 1);
        gate_leave(service->all);
        gate_leave(&service->own);
        return;
    }
    s->home = all;
    s->service = service;
    s->id = atomic_fetch_add_explicit(all->last_id, 1, memory_order_relaxed) + 1;
    s->began = s->active = now_of(s);
    s->client_addr = *client;
    side_init(&s->client);
    side_init(&s->server);
    flow_init(&s->up, MOVER_UP);
    flow_init(&s->down, MOVER_DOWN);
    wheel_entry_init(&s->timer);
    LIST_INSERT_HEAD(&all->all, s, in_all);
    all->count++;
    bool tcp = client->sa.sa_family != AF_UNIX;
    if (side_open(&s->client, fd, tcp, all->poller, on_client_event) < 0) {
        s->client.fd = fd; /* not watched, but ours to close */
        end(s, SESSION_END_RESOURCE);
        return;
    }
    connect_next(s);
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
                   void (*ended)(struct sessions *all, void *arg), void *arg)
{
    all->poller = poller;
    wheel_init(&all->wheel, uv_now(poller->loop));
    all->reserve.fd = -1;
    reserve_fill(&all->reserve);
    LIST_INIT(&all->all);
    LIST_INIT(&all->dead);
    SLIST_INIT(&all->busy);
    all->count = 0;
    all->last_id = last_id;
    all->ended = ended;
    all->arg = arg;
}

void sessions_fini(struct sessions *all)
{
    assert(all->count == 0);
    reserve_spend(&all->reserve);
}

static int patience(const struct sessions *all)
{
    uint64_t due = wheel_due(&all->wheel);
    uint64_t now = uv_now(all->poller->loop);
    if (!SLIST_EMPTY(&all->busy) || due <= now)
        return 0;
    return due == WHEEL_NEVER ? -1 : (int)(due - now); /* at most one turn of the wheel */
}

void sessions_run(struct sessions *all)
{
    poller_wait(all->poller, patience(all));
    run_busy(all);
    wheel_turn(&all->wheel, uv_now(all->poller->loop), on_due, all);
    bury_dead(all);
}

void sessions_end_all(struct sessions *all, enum session_end why)
{
    struct session *s;
    while ((s = LIST_FIRST(&all->all)) != NULL)
        end(s, why);
}

const char *session_end_name(enum session_end why)
{
    static const char *const names[SESSION_ENDS] = {
        [SESSION_END_NONE] = "none",
        [SESSION_END_CLIENT_FIN] = "client_fin",
        [SESSION_END_SERVER_FIN] = "server_fin",
        [SESSION_END_CLIENT_RESET] = "client_reset",
        [SESSION_END_SERVER_RESET] = "server_reset",
        [SESSION_END_IDLE_TIMEOUT] = "idle_timeout",
        [SESSION_END_HALF_CLOSE_TIMEOUT] = "half_close_timeout",
        [SESSION_END_SESSION_TIMEOUT] = "session_timeout",
        [SESSION_END_CONNECT_FAILED] = "connect_failed",
        [SESSION_END_CONNECT_TIMEOUT] = "connect_timeout",
        [SESSION_END_NO_SERVER] = "no_server",
        [SESSION_END_SHUTDOWN] = "shutdown",
        [SESSION_END_RESOURCE] = "resource",
    };
    return names[why];
}
