#include "session/connect.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/proxy_header.h"
#include "relay/self_connect.h"
#include "relay/sock.h"
#include "relay/sock_info.h"
#include "session/preread_info.h"
#include "session/session_addr.h"
#include "session/session_close.h"
#include "session/session_log.h"
#include "session/session_timers.h"
#include "session/tls_connect.h"
#include "tls/tls_side.h"

#define PAUSE_MAX 1000 /* ms before the only server of a pool is tried again */
#define REST      1000 /* ms in the queue before servers that have failed are tried again */

static const struct config_pool *conf_of(const struct session *s)
{
    return pool_conf(s->pool);
}

/* A client that names no server is hashed by its address. */
uint64_t connect_key(const struct session *s)
{
    const struct config_pool *c = conf_of(s);
    enum config_hash_key key = c->hash_key;
    if (c->balance != CONFIG_BALANCE_HASH)
        return 0;
    if (key == CONFIG_HASH_SNI && s->name_hash != 0)
        return s->name_hash;
    return addr_peer_hash(&s->client_addr, key == CONFIG_HASH_SOURCE_PORT);
}

static enum connect_result connect_ended(struct session *s, enum session_end why)
{
    session_close(s, why);
    return CONNECT_ENDED;
}

/* ---- one attempt ---- */

/* EPERM and EACCES have their cause on this machine too, but are no shortage. */
static enum session_end failure_of(const struct session *s, int error)
{
    if (error == ETIMEDOUT)
        return SESSION_END_CONNECT_TIMEOUT;
    bool lacks = sock_error_is_local(&s->target->addr, error) && error != EPERM && error != EACCES;
    return lacks ? SESSION_END_RESOURCE : SESSION_END_CONNECT_FAILED;
}

/* The source address of the connection. With source = client it has another port than the client,
 * which may have a connection to the server itself. */
static struct sock_source source_of(const struct session *s)
{
    const struct config_source *c = &conf_of(s)->source;
    const struct addr_peer *client = &s->client_addr;
    struct sock_source source = { .addr.len = 0 };
    if (c->kind == CONFIG_SOURCE_ADDRESS)
        source.addr = c->addr;
    if (c->kind != CONFIG_SOURCE_CLIENT || client->sa.sa_family == AF_UNIX)
        return source;
    source.transparent = true;
    if (client->sa.sa_family == AF_INET) {
        source.addr.in = client->in;
        source.addr.len = sizeof client->in;
    } else {
        source.addr.in6 = client->in6;
        source.addr.len = sizeof client->in6;
    }
    source.addr.in.sin_port = 0;
    return source;
}

/* Options of the listener are for both sides, except those that the pool has as well. */
static struct sock_options server_options(const struct session *s)
{
    const struct config_tcp *tcp = &conf_of(s)->tcp;
    struct sock_options options = s->frontend->options;
    options.congestion = tcp->congestion;
    options.dscp = tcp->dscp.value;
    options.notsent_lowat = (int)tcp->notsent_lowat;
    return options;
}

/* When no descriptor is left, uses the reserved one; the worker then stops accepting until the
 * reserve is filled again. */
static int open_server_socket(struct session *s)
{
    const struct addr to = session_addr_server(s);
    const struct sock_options options = server_options(s);
    const struct sock_source source = source_of(s);
    int fd = sock_connect(&to, &options, &source);
    if ((fd == -EMFILE || fd == -ENFILE) && fd_reserve_release(&s->sessions->fd_reserve))
        fd = sock_connect(&to, &options, &source);
    return fd;
}

int connect_watch(struct session *s, int fd)
{
    struct sessions *all = s->sessions;
    bool tcp = s->target != NULL && !addr_is_unix(&s->target->addr);
    int rc = side_open(&s->server, fd, tcp, all->set, all->on_server_event);
    if (rc == 0 && tcp && s->frontend->options.nodelay)
        side_set(&s->server, SIDE_NAGLE);
    return rc;
}

/* Returns 0 if the connect has begun, or -errno. */
static int connect_attempt(struct session *s)
{
    s->attempts++;
    s->pool_attempts++;
    tls_side_free(s->server.tls); /* it has the reason why the last attempt failed */
    s->server.tls = NULL;
    s->active = session_now(s);
    s->state = SESSION_CONNECTING;
    s->wait_until = session_timers_after(session_now(s), conf_of(s)->connect_timeout);
    int fd = open_server_socket(s);
    if (fd < 0)
        return fd;
    int rc = connect_watch(s, fd);
    if (rc < 0)
        sock_reset(fd);
    else
        session_timers_arm(s);
    return rc;
}

/* Whether the server sees the client's address as the source. */
static bool comes_from_client(const struct session *s)
{
    return conf_of(s)->source.kind == CONFIG_SOURCE_CLIENT &&
           s->client_addr.sa.sa_family == s->target->addr.sa.sa_family &&
           !addr_is_unix(&s->target->addr);
}

/* Reports how long the connect took, for balance = least_time. The clock of the wake-ups is too
 * coarse, 1 ms, so the kernel's round trip of the handshake is used if it is longer. The kernel has
 * none if segments were lost, or for a unix socket. */
static void report_time(const struct session *s, bool failed)
{
    uint64_t ms = session_now(s) - s->active;
    uint64_t us = ms > 1 ? (ms - 1) * 1000 : 0;
    if (conf_of(s)->balance != CONFIG_BALANCE_LEAST_TIME)
        return;
    uint64_t rtt = failed ? 0 : sock_info_rtt(s->server.fd);
    pool_connect_took(s->pool, s->target, us > rtt ? us : rtt, failed, session_now(s));
}

/* Whether the cause may lie with the client: a timeout or a missing route when the source is its
 * address may be about the way back to it, and even a refusal may be meant for it only. A server
 * with TLS may refuse the name that the client has chosen. */
static bool may_be_of_client(const struct session *s)
{
    if (s->state == SESSION_SERVER_HANDSHAKING)
        return tls_connect_is_named_by_client(s);
    return comes_from_client(s);
}

static void note_failure(const struct session *s, int error)
{
    char text[SESSION_LOG_ERROR_MAX];
    server_set_failure(s->target, session_log_connect_error(s, error, text));
}

/* An error of this machine does not count as a failure of the server, nor does one that may be of
 * the client. */
static void report_failure(const struct session *s, int error)
{
    struct pool *p = s->pool;
    uint64_t now = session_now(s);
    bool local = sock_error_is_local(&s->target->addr, error);
    bool of_client = may_be_of_client(s);
    if (!local)
        report_time(s, true);
    if (!local && (!of_client || error == ECONNREFUSED))
        note_failure(s, error);
    if (!local && !of_client)
        pool_connect_failed(p, s->target, now);
    else if (!local && error == ECONNREFUSED)
        pool_connect_refused(p, s->target, addr_peer_hash(&s->client_addr, false) | 1, now);
    else
        pool_connect_cancelled(p, s->target, now);
}

/* A server that refuses may have moved to this machine since its address was checked. */
static void suspect_self_connect(const struct session *s)
{
    _Atomic bool *may = &s->target->may_self_connect;
    if (!atomic_load_explicit(may, memory_order_relaxed))
        atomic_store_explicit(may, self_connect_is_possible(&s->target->addr),
                              memory_order_relaxed);
}

/* The attempt on s->target has failed: releases the slot and marks the server as tried. */
static void give_up_attempt(struct session *s, int error)
{
    if (s->state == SESSION_SERVER_HANDSHAKING)
        tls_connect_failed(s, error);
    session_log_connect_failed(s, error, session_now(s));
    s->failure = (uint8_t)failure_of(s, error);
    report_failure(s, error);
    if (error == ECONNREFUSED)
        suspect_self_connect(s);
    session_unwatch(s, &s->server);
    side_close(&s->server);
    bool again = pool_has_single_server(s->pool) && !pool_waits_when_down(s->pool);
    if (!again && pool_mark_tried(s->pool, &s->tried, s->target) < 0)
        s->pool_attempts =
            UINT16_MAX; /* out of memory: no further attempt, as tried servers are not known */
    session_release_server(s);
}

/* ---- no server ---- */

static enum connect_result pause_before_retry(struct session *s)
{
    uint64_t timeout = conf_of(s)->connect_timeout;
    uint64_t pause = timeout != 0 && timeout < PAUSE_MAX ? timeout : PAUSE_MAX;
    s->state = SESSION_PAUSING;
    s->wait_until = session_now(s) + pause;
    session_timers_arm(s);
    return CONNECT_WAITS;
}

/* The pool has no server for this session: continues with the fallback pool, or ends it. */
static enum connect_result fall_back(struct session *s, enum session_end why)
{
    struct pool *next = pool_fallback(s->pool);
    if (next == NULL)
        return connect_ended(s, why);
    session_set_pool(s, next);
    return connect_next(s);
}

static void forget_attempts(struct session *s)
{
    session_free_tried(s);
    s->pool_attempts = 0;
}

/* With queue_when = down, a session whose connects have failed waits for REST before it tries the
 * same servers again. It gets other servers, and those that come up meanwhile, at once. */
static struct slot_wait *wait_new(struct session *s)
{
    struct slot_wait *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->session = s;
    w->began = session_now(s);
    w->waiter.tried = s->tried;
    w->waiter.inbox = &s->sessions->inbox;
    w->waiter.key = connect_key(s);
    w->waiter.again = s->queue_since != 0;
    if (!w->waiter.again)
        s->queue_since = w->began;
    w->waiter.since = s->queue_since;
    if (s->pool_attempts > 0 && pool_waits_when_down(s->pool))
        w->rest_until = w->began + REST;
    return w;
}

/* Connects to s->target. */
static enum connect_result connect_start(struct session *s);

static enum connect_result none_left(struct session *s)
{
    return fall_back(s,
                     s->pool_attempts == 0 ? SESSION_END_NO_SERVER : (enum session_end)s->failure);
}

/* Frees s->wait, which is not in the queue. A wait that began in an earlier wake-up is counted. */
static void wait_free(struct session *s)
{
    if (s->wait->began < session_now(s)) {
        session_end_wait(s);
        return;
    }
    free(s->wait);
    s->wait = NULL;
}

/* Puts s->wait into the queue, until `end` (ms). If a slot is acquired at once, connects. */
static enum connect_result wait_enqueue(struct session *s, uint64_t end)
{
    int rc = pool_enqueue(s->pool, &s->wait->waiter, session_now(s), &s->target);
    if (rc == 0) {
        s->state = SESSION_WAITING;
        s->wait_until = end;
        session_timers_arm(s);
        return CONNECT_WAITS;
    }
    wait_free(s);
    if (rc > 0)
        return connect_start(s);
    return rc == -EAGAIN ? fall_back(s, SESSION_END_QUEUE_FULL) : none_left(s);
}

static enum connect_result wait_until(struct session *s, uint64_t end)
{
    if (end <= session_now(s)) /* the connects after an earlier wait took the rest of the time */
        return fall_back(s, SESSION_END_QUEUE_TIMEOUT);
    s->wait = wait_new(s);
    return s->wait == NULL ? fall_back(s, SESSION_END_RESOURCE) : wait_enqueue(s, end);
}

/* With queue_when = down, queue_timeout limits all waits and the connects between them together. */
static enum connect_result wait_for_slot(struct session *s)
{
    if (!pool_waits_when_down(s->pool))
        s->queue_since = 0;
    uint64_t since = s->queue_since != 0 ? s->queue_since : session_now(s);
    return wait_until(s, session_timers_after(since, conf_of(s)->queue_timeout));
}

enum connect_result connect_requeue(struct session *s)
{
    return wait_until(s, s->wait_until);
}

/* A session that waits because of a pause gets all of its attempts again: servers may be replaced
 * during the pause. */
static enum connect_result connect_no_server(struct session *s, enum pool_refusal refusal)
{
    bool may_wait = refusal != POOL_NO_SERVER && conf_of(s)->max_queue > 0;
    if (!may_wait)
        return none_left(s);
    if (refusal == POOL_PAUSED)
        forget_attempts(s);
    return wait_for_slot(s);
}

/* ---- from one to the next ---- */

static enum connect_result attempt_failed(struct session *s, int error)
{
    give_up_attempt(s, error);
    bool last = s->pool_attempts > conf_of(s)->retries;
    if (pool_is_paused(s->pool))
        return connect_next(s);
    if (pool_waits_when_down(s->pool))
        return last ? wait_for_slot(s) : connect_next(s);
    if (last)
        return fall_back(s, (enum session_end)s->failure);
    return pool_has_single_server(s->pool) ? pause_before_retry(s) : connect_next(s);
}

static enum connect_result connect_start(struct session *s)
{
    int rc = connect_attempt(s);
    return rc == 0 ? CONNECT_WAITS : attempt_failed(s, -rc);
}

enum connect_result connect_next(struct session *s)
{
    enum pool_refusal refusal = POOL_NO_SERVER;
    if ((s->file = pool_file(s->pool)) != NULL) {
        answer_file_ref(s->file);
        return CONNECT_ANSWERS;
    }
    const struct pick_request r = { .key = connect_key(s),
                                    .now = session_now(s),
                                    .tried = s->tried };
    s->target = pool_pick(s->pool, &r, &refusal);
    return s->target == NULL ? connect_no_server(s, refusal) : connect_start(s);
}

enum connect_result connect_granted(struct session *s)
{
    bool forgotten = s->wait->waiter.tried == NULL;
    s->target = s->wait->waiter.granted;
    session_end_wait(s);
    if (s->state == SESSION_ENDED)
        return CONNECT_ENDED;
    if (forgotten)
        forget_attempts(s);
    if (s->target != NULL)
        return connect_start(s);
    return pool_file(s->pool) != NULL ? connect_next(s) : connect_requeue(s);
}

/* Only ECONNREFUSED is a refusal. ECONNRESET, or EPIPE after a FIN, comes from a server that has
 * accepted and may have begun to work: the request must not go to another server. */
static bool had_accepted(int error)
{
    return error == ECONNRESET || error == EPIPE;
}

/* Adds what was agreed with the client. */
static size_t add_tls(const struct session *s, unsigned char header[PROXY_HEADER_TLS_MAX],
                      size_t len)
{
    const struct tls_side *t = s->client.tls;
    char version[sizeof "TLSv1.3"];
    snprintf(version, sizeof version, "TLSv%s", tls_cipher_version_name(t->version));
    const struct proxy_tls tls = {
        .version = version,
        .cipher = t->cipher,
        .name = s->preread == NULL ? "" : s->preread->text,
        .protocol = s->preread == NULL ? "" : s->preread->alpn,
        .has_certificate = t->peer != NULL,
        .is_resumed = t->resumed,
        .common_name = t->peer == NULL ? "" : t->peer,
    };
    return proxy_header_add_tls(header, len, &tls);
}

/* Sends the PROXY header. If the first bytes of the client have arrived, the header waits for them
 * (MSG_MORE): the splice that follows sends both in one packet; so with the hello of TLS. The send
 * buffer of a new socket is empty, so the header fits. */
static int connect_send_header(struct session *s)
{
    unsigned char header[PROXY_HEADER_TLS_MAX];
    enum config_send_proxy how = conf_of(s)->send_proxy;
    if (how == CONFIG_SEND_PROXY_NO)
        return 0;
    const struct addr_peer destination = session_addr_destination(s);
    size_t len =
        proxy_header_write(header, how == CONFIG_SEND_PROXY_V1 ? PROXY_HEADER_V1 : PROXY_HEADER_V2,
                           &s->client_addr, &destination);
    if (how == CONFIG_SEND_PROXY_V2 && s->client.tls != NULL)
        len = add_tls(s, header, len);
    int unread = 0;
    bool more = conf_of(s)->tls || (s->client.tls == NULL && s->frontend->conf->upload_rate == 0 &&
                                    ioctl(s->client.fd, SIOCINQ, &unread) == 0 && unread > 0);
    if (side_is(&s->server, SIDE_NAGLE)) /* TCP_NODELAY set later would send the header alone */
        sock_set_nodelay(s->server.fd);
    side_clear(&s->server, SIDE_NAGLE);
    ssize_t sent =
        send(s->server.fd, header, len, MSG_NOSIGNAL | MSG_DONTWAIT | (more ? MSG_MORE : 0));
    if (sent == -1)
        return -errno;
    return (size_t)sent == len ? 0 : -ENOBUFS;
}

static bool is_self_connected(const struct session *s)
{
    return atomic_load_explicit(&s->target->may_self_connect, memory_order_relaxed) &&
           self_connect_happened(s->server.fd);
}

static void reached(struct session *s)
{
    report_time(s, false);
    s->connected = s->active = session_now(s);
    s->server_stats = server_stats_get(&s->sessions->server_stats_table, s->target);
    sessions_record(s->sessions, SESSION_CONNECT_TIME, s->connected - s->began);
    pool_connected(s->pool, s->target, s->connected);
    session_free_tried(s);
}

/* The server has nothing of the client yet, so after a reset another server may be tried. */
static enum connect_result continue_handshake(struct session *s)
{
    int rc = tls_connect_process(s);
    if (rc == -EAGAIN)
        return CONNECT_WAITS;
    if (rc < 0)
        return attempt_failed(s, -rc);
    reached(s);
    return CONNECT_REACHED;
}

enum connect_result connect_finish(struct session *s)
{
    if (side_is(&s->server, SIDE_FAILED)) {
        int error = sock_error(s->server.fd);
        if (!had_accepted(error) || conf_of(s)->tls)
            return attempt_failed(s, error != 0 ? error : ECONNREFUSED);
        reached(s);
        return CONNECT_RESET;
    }
    if (!side_is(&s->server, SIDE_WRITABLE))
        return CONNECT_WAITS;
    if (is_self_connected(s)) {
        sock_abort(s->server.fd); /* close() would leave the server's port in TIME_WAIT */
        return attempt_failed(s, ECONNREFUSED);
    }
    int rc = connect_send_header(s);
    if (rc == 0 && conf_of(s)->tls)
        rc = tls_connect_begin(s);
    if (rc < 0)
        return attempt_failed(s, -rc);
    if (s->state == SESSION_SERVER_HANDSHAKING)
        return continue_handshake(s);
    reached(s);
    return CONNECT_REACHED;
}

/* An event of the client must not lead to a new attempt: an event of the server's old socket may be
 * next in the same batch, and would be taken for one of the new socket. */
enum connect_result connect_handshake(struct session *s)
{
    return tls_connect_has_event(s) ? continue_handshake(s) : CONNECT_WAITS;
}

/* At the end of the wait: a slow start may have held the session back, so it takes a free slot now,
 * if there is one, instead of ending. */
static enum connect_result wait_last_chance(struct session *s)
{
    const struct pick_request r = {
        .key = connect_key(s), .now = session_now(s), .tried = s->tried, .due = true
    };
    enum pool_refusal refusal = POOL_NO_SERVER;
    if (pool_waits_when_down(s->pool))
        s->target = pool_pick(s->pool, &r, &refusal);
    return s->target != NULL ? connect_start(s) : fall_back(s, SESSION_END_QUEUE_TIMEOUT);
}

/* REST is over: the session keeps its place in the queue, but may get any server. */
static enum connect_result wait_rested(struct session *s)
{
    struct slot_wait *w = s->wait;
    pool_cancel(s->pool, &w->waiter, session_now(s));
    forget_attempts(s);
    w->waiter.tried = NULL;
    w->waiter.again = true;
    w->rest_until = 0;
    return wait_enqueue(s, s->wait_until);
}

static enum connect_result wait_expire(struct session *s)
{
    if (s->wait->rest_until != 0 && s->wait_until > session_now(s))
        return wait_rested(s);
    session_cancel_wait(s);
    return wait_last_chance(s);
}

enum connect_result connect_expire(struct session *s)
{
    switch ((enum session_state)s->state) {
    case SESSION_CONNECTING:
    case SESSION_SERVER_HANDSHAKING:
        return attempt_failed(s, ETIMEDOUT);
    case SESSION_PAUSING:
        return connect_next(s);
    case SESSION_WAITING:
        return wait_expire(s);
    case SESSION_PREREADING:
    case SESSION_HANDSHAKING:
    case SESSION_RELAYING:
    case SESSION_ANSWERING:
    case SESSION_ENDED:
        break;
    }
    assert(false);
    return CONNECT_WAITS;
}
