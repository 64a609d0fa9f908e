#include "session/tls_connect.h"

#include <errno.h>
#include <stdio.h>

#include "balance/tls_peer_name.h"
#include "base/human.h"
#include "relay/sock.h"
#include "session/preread_info.h"
#include "session/session_addr.h"
#include "session/session_timers.h"
#include "session/tls_switch.h"
#include "tls/tls_client_context.h"
#include "tls/tls_session_cache.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

#define REASON_MAX 512

/* ms, with connect_timeout = off: about as long as the kernel tries to connect. */
#define HANDSHAKE_MAX 120000

static const char *name_of_client(const struct session *s)
{
    return s->preread == NULL ? "" : s->preread->text;
}

bool tls_connect_is_named_by_client(const struct session *s)
{
    return tls_peer_name_is_client(pool_conf(s->pool), name_of_client(s));
}

static struct tls_stream *make_stream(struct session *s)
{
    const struct config_pool *conf = pool_conf(s->pool);
    const struct addr at = session_addr_server(s);
    struct sessions *all = s->sessions;
    char text[INET6_ADDRSTRLEN];
    if (all->tls_sessions == NULL)
        all->tls_sessions = tls_session_cache_new();
    const struct tls_client_peer peer = {
        .host = tls_peer_name(conf, name_of_client(s), server_host(s->target), &at, text),
        .sessions = all->tls_sessions,
        .server = s->target->serial,
    };
    return tls_client_context_connect(conf->tls_context, s->server.fd, &peer);
}

/* Nagle's algorithm would hold back the first data behind the last message of the handshake. */
static void disable_nagle(struct session *s)
{
    if (!side_is(&s->server, SIDE_NAGLE))
        return;
    sock_set_nodelay(s->server.fd);
    side_clear(&s->server, SIDE_NAGLE);
}

int tls_connect_begin(struct session *s)
{
    disable_nagle(s);
    s->server.tls = tls_side_new(make_stream(s));
    if (s->server.tls == NULL)
        return -ENOMEM;
    tls_switch_prepare(s, &s->server, &pool_conf(s->pool)->tls_limits);
    s->server.tls->began = session_now(s);
    s->state = SESSION_SERVER_HANDSHAKING;
    if (s->wait_until == TIMER_WHEEL_NEVER) {
        s->wait_until = session_now(s) + HANDSHAKE_MAX;
        session_timers_arm(s);
    }
    return 0;
}

/* ---- its end ---- */

static void count(const struct session *s, enum server_counter result)
{
    counter_add_shared(&s->target->counter[result], 1);
}

/* From here on the stream is relayed. Bytes of the server may be in OpenSSL already. Returns 0 or
 * -EIO. */
static int server_handshake_done(struct session *s)
{
    struct tls_side *t = s->server.tls;
    tls_side_agreed(t);
    int rc = tls_switch_later(s, &s->server, &pool_conf(s->pool)->tls_limits);
    if (rc < 0)
        return rc;
    count(s, t->resumed ? SERVER_TLS_RESUMED : SERVER_TLS_FULL);
    sessions_record(s->sessions, SESSION_SERVER_HANDSHAKE_TIME, session_now(s) - t->began);
    return 0;
}

static void note_reason(const struct session *s, int error)
{
    const char *why = tls_stream_why(s->server.tls->stream);
    char text[HUMAN_ERROR_MAX];
    char reason[REASON_MAX];
    if (error == ECONNABORTED)
        why = "the server closed during the handshake";
    else if (error == ETIMEDOUT)
        why = "timeout in the handshake";
    else if (why[0] == '\0')
        why = human_connection_error(error, text);
    snprintf(reason, sizeof reason, "TLS: %s", why);
    tls_side_failed(s->server.tls, reason);
}

void tls_connect_failed(struct session *s, int error)
{
    note_reason(s, error);
    relay_stock_count_error(&s->sessions->relay_stock, error);
    count(s, error == ETIMEDOUT ? SERVER_TLS_TIMEOUT : SERVER_TLS_FAILED);
    tls_side_stop(s->server.tls);
}

/* ---- step by step ---- */

bool tls_connect_has_event(const struct session *s)
{
    return side_is(&s->server, SIDE_READABLE) || side_is(&s->server, SIDE_FAILED) ||
           (side_is(&s->server, SIDE_WRITABLE) && tls_stream_has_rest(s->server.tls->stream));
}

/* What the server sent before a reset may say why, so it is read first. */
int tls_connect_process(struct session *s)
{
    bool failed = side_is(&s->server, SIDE_FAILED);
    int rc = tls_stream_handshake(s->server.tls->stream);
    if (rc == -EAGAIN && failed) {
        int error = sock_error(s->server.fd);
        side_clear(&s->server, SIDE_FAILED);
        rc = error != 0 ? -error : rc;
    }
    if (rc == -EAGAIN)
        side_clear(&s->server, SIDE_READABLE);
    if (rc == -EAGAIN && tls_stream_has_rest(s->server.tls->stream))
        side_clear(&s->server, SIDE_WRITABLE);
    return rc == 0 ? server_handshake_done(s) : rc;
}
