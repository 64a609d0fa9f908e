#include "session/session_info.h"

#include <string.h>
#include <sys/socket.h>

#include "base/text.h"
#include "session/session_addr.h"
#include "session/session_timers.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

/* `then` may be later than the time of this wake-up: the result is never below 0. */
static uint64_t session_info_since(uint64_t now, uint64_t then)
{
    return now > then ? now - then : 0;
}

void session_info(const struct session *s, struct session_info *info)
{
    uint64_t now = session_now(s);
    memset(info, 0, sizeof *info);
    info->id = s->id;
    info->age = session_info_since(now, s->began);
    info->idle = session_info_since(now, s->active);
    info->up = s->up.bytes;
    info->down = s->down.bytes;
    info->state = s->state;
    info->up_ended = s->up_ended;
    info->down_ended = s->down_ended;
    info->client = s->client_addr;
    text_copy(info->listener.text, sizeof info->listener.text, s->frontend->conf->name);
    text_copy(info->pool.text, sizeof info->pool.text, s->pool == NULL ? "" : pool_name(s->pool));
    if (s->target == NULL)
        return;
    info->server_serial = s->target->serial;
    text_copy(info->server.text, sizeof info->server.text, server_name(s->target));
}

static void local_name(int fd, struct addr *at)
{
    struct addr found = { .len = sizeof found.un };
    at->len = 0;
    if (fd != -1 && getsockname(fd, &found.sa, &found.len) == 0)
        *at = found;
}

/* What TLS in user space keeps: plaintext of the source, and records for the sink. */
static uint64_t tls_held(const struct side *src, const struct side *dst)
{
    uint64_t held = src->tls == NULL ? 0 : buffer_size(&src->tls->held);
    if (dst->tls != NULL && dst->tls->stream != NULL)
        held += tls_stream_rest(dst->tls->stream);
    return held;
}

static void flow_info(const struct flow *f, const struct side *src, const struct side *dst,
                      struct flow_info *info)
{
    info->held = (f->pipe == NULL ? 0 : f->pipe->held) + tls_held(src, dst);
    info->pipe_size = f->pipe == NULL ? 0 : f->pipe->size;
    info->copied = f->copy;
}

static void tls_info(const struct side *sd, struct tls_info *info)
{
    const struct tls_side *t = sd->tls;
    if (t == NULL || t->version == 0)
        return;
    info->version = tls_cipher_version_name(t->version);
    info->cipher = t->cipher;
    info->in_kernel = side_is(sd, SIDE_KTLS);
    if (t->user != TLS_USER_NONE)
        info->user_reason = tls_user_reason_name((enum tls_user_reason)t->user);
    else if (t->defers)
        info->user_reason = "deferred"; /* it is in neither counter yet */
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
    tls_info(&s->client, &d->client_tls);
    tls_info(&s->server, &d->server_tls);
    flow_info(&s->up, &s->client, &s->server, &d->up);
    flow_info(&s->down, &s->server, &s->client, &d->down);
    d->up.tls = d->down.tls = side_is(&s->client, SIDE_TLS) || side_is(&s->server, SIDE_TLS);
    sock_info(s->client.fd, &d->client);
    sock_info(s->server.fd, &d->server);
}

const char *session_state_name(enum session_state state)
{
    switch (state) {
    case SESSION_PREREADING:
        return "greeting";
    case SESSION_HANDSHAKING:
        return "handshaking";
    case SESSION_CONNECTING:
        return "connecting";
    case SESSION_SERVER_HANDSHAKING:
        return "server_handshaking";
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

const char *session_open_name(const struct session_info *info)
{
    if (info->up_ended)
        return info->down_ended ? "none" : "down";
    return info->down_ended ? "up" : "both";
}
