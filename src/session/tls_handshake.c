#include "session/tls_handshake.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/human.h"
#include "session/preread_info.h"
#include "session/session_close.h"
#include "session/session_timers.h"
#include "session/tls_switch.h"
#include "tls/tls_server_context.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

static enum preread_result handshake_ended(struct session *s, enum session_end why)
{
    session_close(s, why);
    return PREREAD_ENDED;
}

/* ---- what was agreed ---- */

/* What the route and the log use, as of a hello that is relayed. The client has offered the
 * protocol that was agreed. */
static void describe(const struct session *s, struct hello *hello)
{
    const struct tls_stream *stream = s->client.tls->stream;
    const char *name = tls_stream_server_name(stream);
    size_t size = 0;
    const unsigned char *alpn = tls_stream_alpn(stream, &size);
    size_t length = strlen(name);
    memset(hello, 0, sizeof *hello);
    if (length > 0 && name[length - 1] == '.')
        length--;
    if (!hostname_is_valid(name, length))
        length = 0;
    for (size_t i = 0; i < length; i++)
        hello->name[i] = (char)tolower((unsigned char)name[i]);
    if (size == 0 || size >= HELLO_ALPN_MAX)
        return;
    hello->alpn[0] = (unsigned char)size;
    memcpy(hello->alpn + 1, alpn, size);
    hello->alpn_size = (uint16_t)(size + 1);
}

static enum preread_result handshake_failed(struct session *s, int error)
{
    const char *why = tls_stream_why(s->client.tls->stream);
    struct hello hello;
    char text[HUMAN_ERROR_MAX];
    if (error == ECONNABORTED)
        why = "the client has closed the connection";
    else if (why[0] == '\0')
        why = human_connection_error(error, text);
    describe(s, &hello);
    s->preread = preread_info_new(session_now(s) - s->began, &hello);
    relay_stock_count_error(&s->sessions->relay_stock, error);
    tls_side_failed(s->client.tls, why);
    return handshake_ended(s, error == ENOMEM ? SESSION_END_RESOURCE : SESSION_END_TLS_FAILED);
}

/* ---- before the first byte of OpenSSL ---- */

/* Peeks at the hello until it is complete, so that clients that send nothing, or half of it, need
 * no memory of OpenSSL. Returns 1: complete, or no hello, which OpenSSL tells the client; 0: not
 * yet; -ENODATA: the client has left without a byte; or another -errno. */
static int has_hello(struct session *s)
{
    struct hello hello;
    char *buffer = s->sessions->relay_stock.buffer;
    if (!side_is(&s->client, SIDE_READABLE))
        return 0;
    ssize_t n;
    do {
        n = recv(s->client.fd, buffer, HELLO_STREAM_MAX, MSG_PEEK | MSG_DONTWAIT);
    } while (n == -1 && errno == EINTR);
    if (n == -1)
        return errno == EAGAIN ? 0 : -errno;
    if (n == 0)
        return -ENODATA;
    if (side_is(&s->client, SIDE_ENDED))
        return 1;
    return hello_parse(&hello, buffer, (size_t)n) != HELLO_MORE;
}

static int make_stream(struct session *s)
{
    struct tls_stream *stream =
        tls_server_context_accept(s->frontend->conf->tls_context, s->client.fd);
    s->client.tls = tls_side_new(stream);
    if (s->client.tls == NULL)
        return -ENOMEM;
    tls_switch_prepare(s, &s->client, &s->frontend->conf->tls_limits);
    return 0;
}

/* ---- complete ---- */

static enum preread_result handshake_done(struct session *s)
{
    struct tls_side *t = s->client.tls;
    struct hello hello;
    uint64_t now = session_now(s);
    tls_side_agreed(t);
    if (!t->resumed)
        tls_server_context_count_use(s->frontend->conf->tls_context, t->stream);
    describe(s, &hello);
    preread_choose_route(s, &hello);
    s->preread = preread_info_new(now - s->began, &hello);
    if (tls_switch(s, &s->client, &s->frontend->conf->tls_limits) < 0)
        return handshake_ended(s, SESSION_END_RESOURCE);
    frontend_count_handshake(s->frontend, t->resumed ? TLS_HANDSHAKE_RESUMED : TLS_HANDSHAKE_FULL,
                             t->version);
    sessions_record(s->sessions, SESSION_HANDSHAKE_TIME, now - s->active);
    s->active = now;
    return PREREAD_DONE;
}

/* ---- step by step ---- */

enum preread_result tls_handshake_process(struct session *s)
{
    if (s->client.tls == NULL) {
        int rc = has_hello(s);
        if (rc < 0)
            return handshake_ended(s, rc == -ENODATA ? SESSION_END_CLIENT_FIN
                                                     : SESSION_END_CLIENT_RESET);
        if (rc == 0)
            return PREREAD_WAITS;
        if (make_stream(s) < 0)
            return handshake_ended(s, SESSION_END_RESOURCE);
        s->active = session_now(s);
    }
    int rc = tls_stream_handshake(s->client.tls->stream);
    if (rc == -EAGAIN) {
        side_clear(&s->client, SIDE_READABLE);
        return PREREAD_WAITS;
    }
    if (rc == -ECONNRESET)
        return handshake_ended(s, SESSION_END_CLIENT_RESET);
    return rc < 0 ? handshake_failed(s, -rc) : handshake_done(s);
}

enum preread_result tls_handshake_begin(struct session *s, uint64_t until)
{
    s->state = SESSION_HANDSHAKING;
    s->active = session_now(s);
    s->wait_until = until;
    session_timers_arm(s);
    return tls_handshake_process(s);
}

enum preread_result tls_handshake_expire(struct session *s)
{
    return handshake_ended(s, SESSION_END_TLS_TIMEOUT);
}
