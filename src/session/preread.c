#include "session/preread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/proxy_header.h"
#include "session/hello.h"
#include "session/preread_info.h"
#include "session/route.h"
#include "session/session_addr.h"
#include "session/session_close.h"
#include "session/session_log.h"
#include "session/session_timers.h"

bool preread_is_wanted(const struct frontend *frontend)
{
    return frontend->trusted != NULL || frontend->wants_hello;
}

static enum preread_result preread_ended(struct session *s, enum session_end why)
{
    session_close(s, why);
    return PREREAD_ENDED;
}

/* Peeks at most `room` unread bytes. Returns their number; 0 at the end of the stream; or -errno,
 * -EAGAIN if there are none. */
static ssize_t preread_peek(struct session *s, size_t room)
{
    struct relay_stock *stock = &s->sessions->relay_stock;
    if (!side_is(&s->client, SIDE_READABLE))
        return -EAGAIN;
    ssize_t n;
    do
        n = recv(s->client.fd, stock->buffer, room, MSG_PEEK | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n;
}

static enum preread_result failed(struct session *s, ssize_t error)
{
    return error == -EAGAIN ? PREREAD_WAITS : preread_ended(s, SESSION_END_CLIENT_RESET);
}

/* ---- the hello ---- */

void preread_choose_route(struct session *s, const struct hello *hello)
{
    const struct frontend *frontend = s->frontend;
    struct pool *p = route_match(frontend->routes, frontend->conf->route_count, hello);
    if (p != NULL && p != s->pool)
        session_set_pool(s, p);
    if (hello->name[0] != '\0')
        s->name_hash = hash_bytes(hello->name, strlen(hello->name));
}

/* A client that sends no hello, or whose hello matches no route, gets the pool of the listener. */
static enum preread_result read_hello(struct session *s)
{
    struct hello hello;
    ssize_t n = preread_peek(s, HELLO_STREAM_MAX);
    if (n < 0)
        return failed(s, n);
    switch (hello_parse(&hello, s->sessions->relay_stock.buffer, (size_t)n)) {
    case HELLO_MORE:
        if (n > 0 && !side_is(&s->client, SIDE_ENDED))
            return PREREAD_WAITS;
        if (n == 0)
            return preread_ended(s, SESSION_END_CLIENT_FIN);
        break;
    case HELLO_DONE:
        preread_choose_route(s, &hello);
        s->preread = preread_info_new(session_now(s) - s->began, &hello);
        break;
    case HELLO_NOT_TLS:
    case HELLO_MALFORMED:
    case HELLO_TOO_LONG:
        break;
    }
    return PREREAD_DONE;
}

/* ---- the PROXY header ---- */

static enum preread_result bad_header(struct session *s, const char *why)
{
    session_log_bad_header(s, why);
    return preread_ended(s, SESSION_END_BAD_PROXY_HEADER);
}

/* Reads bytes that were peeked at. */
static bool consume(struct session *s, size_t length)
{
    while (length > 0) {
        ssize_t n = recv(s->client.fd, s->sessions->relay_stock.buffer, length, MSG_DONTWAIT);
        if (n <= 0)
            return false;
        length -= (size_t)n;
    }
    return true;
}

static bool store_proxy_info(struct session *s, const struct proxy_header *h)
{
    if (!h->has_addresses)
        return true;
    s->proxy_info = malloc(sizeof *s->proxy_info);
    if (s->proxy_info == NULL)
        return false;
    s->proxy_info->peer = s->client_addr;
    s->proxy_info->destination = h->destination;
    s->client_addr = h->source;
    return true;
}

static enum preread_result admit(struct session *s)
{
    enum session_end why = frontend_admit_client(s->frontend, &s->client_addr, session_now(s));
    if (why != SESSION_END_NONE)
        return preread_ended(s, why);
    s->admitted = true;
    return s->frontend->wants_hello ? read_hello(s) : PREREAD_DONE;
}

static enum preread_result read_proxy_header(struct session *s)
{
    struct proxy_header h;
    ssize_t n = preread_peek(s, PROXY_HEADER_MAX);
    if (n < 0)
        return failed(s, n);
    switch (proxy_header_parse(&h, s->sessions->relay_stock.buffer, (size_t)n)) {
    case PROXY_HEADER_MORE:
        if (n == 0)
            return preread_ended(s, SESSION_END_CLIENT_FIN);
        return side_is(&s->client, SIDE_ENDED) ? bad_header(s, "cut short") : PREREAD_WAITS;
    case PROXY_HEADER_DONE:
        break;
    case PROXY_HEADER_INVALID:
        return bad_header(s, h.why);
    }
    if (!consume(s, h.length))
        return preread_ended(s, SESSION_END_CLIENT_RESET);
    return store_proxy_info(s, &h) ? admit(s) : preread_ended(s, SESSION_END_RESOURCE);
}

/* ---- one after the other ---- */

enum preread_result preread_process(struct session *s)
{
    enum preread_result result = s->admitted ? read_hello(s) : read_proxy_header(s);
    if (result == PREREAD_DONE)
        side_set(&s->client, SIDE_READABLE); /* the peeked bytes are still unread */
    return result;
}

uint64_t preread_deadline(const struct session *s)
{
    return session_timers_after(session_now(s), s->frontend->conf->preread_timeout);
}

enum preread_result preread_begin(struct session *s)
{
    s->state = SESSION_PREREADING;
    s->wait_until = preread_deadline(s);
    session_timers_arm(s);
    return preread_process(s);
}

/* A client that waits for the server to send first sends no hello. Its session ends, instead of
 * going to the pool of the listener. */
enum preread_result preread_expire(struct session *s)
{
    return preread_ended(s, SESSION_END_PREREAD_TIMEOUT);
}
