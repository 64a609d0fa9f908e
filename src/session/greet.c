#include "session/greet.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/hash.h"
#include "base/proxy_header.h"
#include "session/connect.h"
#include "session/ends.h"
#include "session/hello.h"
#include "session/life.h"
#include "session/preread_info.h"
#include "session/route.h"
#include "session/session_log.h"

bool greet_is_wanted(const struct service *service)
{
    return service->trusted != NULL || service->wants_hello;
}

static enum greet_result ended(struct session *s, enum session_end why)
{
    life_end(s, why);
    return GREET_ENDED;
}

/* What lies there, at most `room` bytes of it. Returns its length, 0 at the end of the stream, or
 * -errno; -EAGAIN: nothing. */
static ssize_t look(struct session *s, size_t room)
{
    struct mover *m = &s->home->mover;
    if (!side_is(&s->client, SIDE_READABLE))
        return -EAGAIN;
    ssize_t n;
    do
        n = recv(s->client.fd, m->buffer, room, MSG_PEEK | MSG_DONTWAIT);
    while (n == -1 && errno == EINTR);
    return n == -1 ? -errno : n;
}

static enum greet_result failed(struct session *s, ssize_t error)
{
    return error == -EAGAIN ? GREET_WAITS : ended(s, SESSION_END_CLIENT_RESET);
}

/* ---- the hello ---- */

static void go_by(struct session *s, const struct hello *hello)
{
    const struct service *service = s->service;
    struct pool *p = route_match(service->routes, service->conf->route_count, hello);
    if (p != NULL && p != s->pool)
        connect_enter(s, p);
    if (hello->name[0] != '\0')
        s->name_hash = hash_bytes(hello->name, strlen(hello->name));
}

/* Whatever is no hello, or names nobody that a route is for, goes where the listener says. */
static enum greet_result hear_hello(struct session *s)
{
    struct hello hello;
    ssize_t n = look(s, HELLO_STREAM_MAX);
    if (n < 0)
        return failed(s, n);
    switch (hello_parse(&hello, s->home->mover.buffer, (size_t)n)) {
    case HELLO_MORE:
        if (n > 0 && !side_is(&s->client, SIDE_ENDED))
            return GREET_WAITS;
        if (n == 0)
            return ended(s, SESSION_END_CLIENT_FIN);
        break;
    case HELLO_DONE:
        go_by(s, &hello);
        s->preread = preread_info_new(life_now(s) - s->began, &hello);
        break;
    case HELLO_NOT_TLS:
    case HELLO_MALFORMED:
    case HELLO_TOO_LONG:
        break;
    }
    return GREET_DONE;
}

/* ---- the PROXY header ---- */

static enum greet_result bad_header(struct session *s, const char *why)
{
    session_log_bad_header(s, why);
    return ended(s, SESSION_END_BAD_PROXY_HEADER);
}

/* Reads what has been looked at already. */
static bool consume(struct session *s, size_t length)
{
    while (length > 0) {
        ssize_t n = recv(s->client.fd, s->home->mover.buffer, length, MSG_DONTWAIT);
        if (n <= 0)
            return false;
        length -= (size_t)n;
    }
    return true;
}

static bool learn(struct session *s, const struct proxy_header *h)
{
    if (!h->named)
        return true;
    s->learned = malloc(sizeof *s->learned);
    if (s->learned == NULL)
        return false;
    s->learned->peer = s->client_addr;
    s->learned->destination = h->destination;
    s->client_addr = h->source;
    return true;
}

static enum greet_result admit(struct session *s)
{
    enum session_end why = service_admit(s->service, &s->client_addr, life_now(s));
    if (why != SESSION_END_NONE)
        return ended(s, why);
    s->admitted = true;
    return s->service->wants_hello ? hear_hello(s) : GREET_DONE;
}

static enum greet_result hear_header(struct session *s)
{
    struct proxy_header h;
    ssize_t n = look(s, PROXY_HEADER_MAX);
    if (n < 0)
        return failed(s, n);
    switch (proxy_header_parse(&h, s->home->mover.buffer, (size_t)n)) {
    case PROXY_HEADER_MORE:
        if (n == 0)
            return ended(s, SESSION_END_CLIENT_FIN);
        return side_is(&s->client, SIDE_ENDED) ? bad_header(s, "cut short") : GREET_WAITS;
    case PROXY_HEADER_DONE:
        break;
    case PROXY_HEADER_BAD:
        return bad_header(s, h.why);
    }
    if (!consume(s, h.length))
        return ended(s, SESSION_END_CLIENT_RESET);
    return learn(s, &h) ? admit(s) : ended(s, SESSION_END_RESOURCE);
}

/* ---- one after the other ---- */

enum greet_result greet_turn(struct session *s)
{
    enum greet_result result = s->admitted ? hear_hello(s) : hear_header(s);
    if (result == GREET_DONE)
        side_set(&s->client, SIDE_READABLE); /* what was looked at is still there */
    return result;
}

enum greet_result greet_begin(struct session *s)
{
    s->state = SESSION_GREETING;
    s->wait_until = life_after(life_now(s), s->service->conf->preread_timeout);
    life_arm(s);
    return greet_turn(s);
}

/* A client that waits for the server to speak first gives no hello: it is told so, rather than left
 * to guess. */
enum greet_result greet_expire(struct session *s)
{
    return ended(s, SESSION_END_PREREAD_TIMEOUT);
}
