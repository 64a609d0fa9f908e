#include "session/session_info.h"

#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "session/session_addr.h"
#include "session/session_timers.h"

/* `then` may be later than the time of this wake-up: the result is never below 0. */
static uint64_t session_info_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

void session_info(const struct session *s, struct session_info *b)
{
    uint64_t now = session_now(s);
    memset(b, 0, sizeof *b);
    b->id = s->id;
    b->age = session_info_since(now, s->began);
    b->idle = session_info_since(now, s->active);
    b->up = s->up.bytes;
    b->down = s->down.bytes;
    b->state = s->state;
    b->up_ended = s->up_ended;
    b->down_ended = s->down_ended;
    b->client = s->client_addr;
    text_copy(b->listener.text, sizeof b->listener.text, s->frontend->conf->name);
    text_copy(b->pool.text, sizeof b->pool.text, s->pool == NULL ? "" : pool_name(s->pool));
    if (s->target == NULL)
        return;
    b->server_serial = s->target->serial;
    text_copy(b->server.text, sizeof b->server.text, server_name(s->target));
}

static void local_name(int fd, struct addr *at)
{
    struct addr found = { .len = sizeof found.un };
    at->len = 0;
    if (fd != -1 && getsockname(fd, &found.sa, &found.len) == 0)
        *at = found;
}

static void flow_info(const struct flow *f, struct flow_info *b)
{
    b->held = f->pipe == NULL ? 0 : f->pipe->held;
    b->pipe_size = f->pipe == NULL ? 0 : f->pipe->size;
    b->copied = f->copy;
}

void session_detail(const struct session *s, struct session_detail *d)
{
    memset(d, 0, sizeof *d);
    session_info(s, &d->info);
    d->connected = s->connected != 0;
    d->connect_time = session_info_since(s->connected, s->began);
    d->attempts = s->attempts;
    if (s->client.fd == -1 || !session_addr_local(s, &d->client_local))
        d->client_local.len = 0;
    local_name(s->server.fd, &d->server_local);
    if (s->target != NULL)
        d->server_addr = s->target->addr;
    flow_info(&s->up, &d->up);
    flow_info(&s->down, &d->down);
    sock_info(s->client.fd, &d->client);
    sock_info(s->server.fd, &d->server);
}

const char *session_state_name(enum session_state state)
{
    switch (state) {
    case SESSION_PREREADING:
        return "greeting";
    case SESSION_CONNECTING:
        return "connecting";
    case SESSION_PAUSING:
        return "pausing";
    case SESSION_WAITING:
        return "waiting";
    case SESSION_RELAYING:
        return "relaying";
    case SESSION_ANSWERING:
        return "answering";
    case SESSION_ENDED:
        return "ended";
    }
    return "unknown";
}

const char *session_open_name(const struct session_info *b)
{
    if (b->up_ended)
        return b->down_ended ? "none" : "down";
    return b->down_ended ? "up" : "both";
}
