#include "balance/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "balance/http_status.h"
#include "base/error_text.h"
#include "base/proxy_header.h"
#include "relay/sock.h"

/* ---- words ---- */

/* How much of it to show: a line, without its end. */
static size_t first_line(const char *data, size_t len)
{
    const char *end = len > 1 ? memchr(data + 1, '\n', len - 1) : NULL;
    if (end == NULL)
        return len;
    return (size_t)(end - data) - (end[-1] == '\r' ? 1 : 0);
}

/* Returns how many characters were written to out, four at most. */
static size_t put_escaped(char *out, unsigned char c)
{
    static const char letters[] = "\"\"\\\\\nn\rr\tt"; /* in pairs: the byte, what stands for it */
    for (size_t i = 0; i + 1 < sizeof letters; i += 2)
        if (c == (unsigned char)letters[i]) {
            out[0] = '\\';
            out[1] = letters[i + 1];
            return 2;
        }
    if (c >= ' ' && c < 0x7f) {
        out[0] = (char)c;
        return 1;
    }
    return (size_t)sprintf(out, "\\x%02x", c);
}

const char *probe_quote(char out[PROBE_QUOTE_MAX], const void *data, size_t len)
{
    static const char cut[] = "...";
    const size_t room = PROBE_QUOTE_MAX - sizeof cut - sizeof "\"" - 4; /* for one more */
    size_t shown = first_line(data, len);
    bool more = shown + sizeof "\r\n" - 1 < len;
    size_t at = 0;
    size_t i = 0;
    out[at++] = '"';
    for (; i < shown && at <= room; i++)
        at += put_escaped(out + at, ((const unsigned char *)data)[i]);
    sprintf(out + at, "%s\"", more || i < shown ? cut : "");
    return out;
}

/* The last words of a probe. */
static enum probe_outcome __attribute__((format(printf, 3, 4)))
end(struct probe *p, enum probe_outcome outcome, const char *why, ...)
{
    va_list args;
    va_start(args, why);
    vsnprintf(p->why, sizeof p->why, why, args);
    va_end(args);
    probe_stop(p);
    return outcome;
}

static const char *wanted(const struct script *s, char text[PROBE_QUOTE_MAX])
{
    return s->wants == SCRIPT_WANTS_STATUS ? "an HTTP status"
                                           : probe_quote(text, s->bytes->data, s->bytes->len);
}

/* ---- connect ---- */

/* Whether an error of connect() or socket() says that something is lacking here. */
static bool is_lack(const struct addr *to, int error)
{
    switch (error) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
    case EADDRNOTAVAIL: /* ip(7): no local port is left */
        return true;
    case EAGAIN: /* connect(2): for unix sockets it is the server's queue, and full */
        return !addr_is_unix(to);
    default:
        return false;
    }
}

static enum probe_outcome cannot_connect(struct probe *p, int error)
{
    char text[ERROR_TEXT_MAX];
    if (is_lack(&p->script->to, error))
        return end(p, PROBE_UNKNOWN, "%s", error_text(error, text));
    if (error == EAGAIN)
        return end(p, PROBE_FAILED, "too many connections wait to be accepted");
    return end(p, PROBE_FAILED, "%s", error_text(error, text));
}

void probe_init(struct probe *p)
{
    p->script = NULL;
    p->fd = -1;
    p->state = PROBE_CONNECT;
    p->sent = 0;
    p->why[0] = '\0';
}

enum probe_outcome probe_start(struct probe *p, const struct script *script)
{
    const struct sock_options options = {
        .delay_ack = script->wants == SCRIPT_WANTS_NOTHING && script->send_len == 0 &&
                     script->header == CONFIG_SEND_PROXY_NO,
    };
    p->script = script;
    p->state = PROBE_CONNECT;
    p->sent = 0;
    p->fd = sock_connect(&script->to, &options, &script->source);
    if (p->fd >= 0)
        return PROBE_RUNNING;
    int error = -p->fd;
    p->fd = -1;
    return cannot_connect(p, error);
}

static struct addr_peer peer_of(int fd, bool own)
{
    struct sockaddr_storage at = { .ss_family = AF_UNIX };
    socklen_t len = sizeof at;
    struct addr_peer peer;
    (void)(own ? getsockname(fd, (struct sockaddr *)&at, &len)
               : getpeername(fd, (struct sockaddr *)&at, &len));
    addr_peer_set(&peer, (const struct sockaddr *)&at, len);
    return peer;
}

/* The socket is new and empty: a header fits into it. */
static int send_header(const struct probe *p)
{
    unsigned char header[PROXY_HEADER_WRITE_MAX];
    enum proxy_header_version v =
        p->script->header == CONFIG_SEND_PROXY_V1 ? PROXY_HEADER_V1 : PROXY_HEADER_V2;
    if (p->script->header == CONFIG_SEND_PROXY_NO)
        return 0;
    const struct addr_peer own = peer_of(p->fd, true);
    const struct addr_peer server = peer_of(p->fd, false);
    size_t len = proxy_header_write_own(header, v, &own, &server);
    ssize_t sent = send(p->fd, header, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == -1 ? errno : (size_t)sent == len ? 0 : ENOBUFS;
}

static enum probe_outcome finish_connecting(struct probe *p, uint32_t events)
{
    int error = sock_error(p->fd);
    if (error == 0 && (events & EPOLLOUT) != 0)
        error = send_header(p);
    if (error != 0)
        return cannot_connect(p, error);
    if ((events & EPOLLOUT) != 0)
        p->state = PROBE_SEND;
    return PROBE_RUNNING;
}

/* ---- hear ---- */

static enum probe_outcome judge_status(struct probe *p, const char *data, size_t len)
{
    const struct config_range *range = p->script->status;
    char heard[PROBE_QUOTE_MAX];
    int status = http_status(data, len);
    if (status == 0)
        return PROBE_RUNNING;
    if (status < 0)
        return end(p, PROBE_FAILED, "not HTTP: %s", probe_quote(heard, data, len));
    bool fine = (unsigned)status >= range->low && (unsigned)status <= range->high;
    return end(p, fine ? PROBE_PASSED : PROBE_FAILED, "HTTP %d", status);
}

static enum probe_outcome judge_bytes(struct probe *p, const char *data, size_t len)
{
    const struct config_bytes *bytes = p->script->bytes;
    char text[PROBE_QUOTE_MAX];
    if (memmem(data, len, bytes->data, bytes->len) == NULL)
        return PROBE_RUNNING;
    return end(p, PROBE_PASSED, "got %s", probe_quote(text, bytes->data, bytes->len));
}

/* No more will come. error: the socket's, or 0 where it was ended in order. */
static enum probe_outcome judge_end(struct probe *p, const char *data, size_t len, int error)
{
    char want[PROBE_QUOTE_MAX];
    char heard[PROBE_QUOTE_MAX];
    char text[ERROR_TEXT_MAX];
    if (len > 0)
        return end(p, PROBE_FAILED, "expected %s, got %s", wanted(p->script, want),
                   probe_quote(heard, data, len));
    if (error != 0)
        return end(p, PROBE_FAILED, "%s", error_text(error, text));
    return end(p, PROBE_FAILED, "expected %s, got the end of the connection",
               wanted(p->script, want));
}

/* error: what has been taken from the socket already, or 0. */
static enum probe_outcome hear(struct probe *p, uint32_t events, int error)
{
    char data[PROBE_HEAR_MAX];
    if ((events & ~(uint32_t)EPOLLOUT) == 0)
        return PROBE_RUNNING;
    ssize_t n = recv(p->fd, data, sizeof data, MSG_PEEK);
    if (n == -1 && errno != EAGAIN && error == 0)
        error = errno;
    bool over = n == 0 || n == (ssize_t)sizeof data || error != 0 ||
                (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0;
    size_t len = n > 0 ? (size_t)n : 0;
    enum probe_outcome outcome = p->script->wants == SCRIPT_WANTS_STATUS
                                     ? judge_status(p, data, len)
                                     : judge_bytes(p, data, len);
    if (outcome == PROBE_RUNNING && over)
        return judge_end(p, data, len, error != 0 ? error : sock_error(p->fd));
    return outcome;
}

/* ---- send ---- */

static enum probe_outcome cannot_send(struct probe *p, int error)
{
    char text[ERROR_TEXT_MAX];
    if (p->script->wants != SCRIPT_WANTS_NOTHING) /* it may have answered before it closed */
        return hear(p, EPOLLIN, error);
    return end(p, PROBE_FAILED, "%s while sending", error_text(error, text));
}

/* Sends what is left; as soon as all has been sent the state is another one. */
static enum probe_outcome send_rest(struct probe *p)
{
    const struct script *s = p->script;
    while (p->sent < s->send_len) {
        ssize_t n = send(p->fd, s->send + p->sent, s->send_len - p->sent, MSG_NOSIGNAL);
        if (n == -1)
            return errno == EAGAIN ? PROBE_RUNNING : cannot_send(p, errno);
        p->sent += (size_t)n;
    }
    if (s->wants == SCRIPT_WANTS_NOTHING)
        return end(p, PROBE_PASSED, s->send_len == 0 ? "connected" : "sent");
    p->state = PROBE_HEAR;
    return PROBE_RUNNING;
}

/* ---- the whole of it ---- */

enum probe_outcome probe_step(struct probe *p, uint32_t events)
{
    enum probe_outcome outcome = PROBE_RUNNING;
    if (p->state == PROBE_CONNECT)
        outcome = finish_connecting(p, events);
    if (outcome == PROBE_RUNNING && p->state == PROBE_SEND)
        outcome = send_rest(p);
    if (outcome == PROBE_RUNNING && p->state == PROBE_HEAR)
        outcome = hear(p, events, 0);
    return outcome;
}

static enum probe_outcome too_late_to_hear(struct probe *p, const char *after)
{
    char want[PROBE_QUOTE_MAX];
    char heard[PROBE_QUOTE_MAX];
    char data[PROBE_QUOTE_MAX];
    ssize_t n = recv(p->fd, data, sizeof data, MSG_PEEK);
    if (n <= 0)
        return end(p, PROBE_FAILED, "timeout after %s while waiting for %s", after,
                   wanted(p->script, want));
    return end(p, PROBE_FAILED, "timeout after %s while waiting for %s, got %s", after,
               wanted(p->script, want), probe_quote(heard, data, (size_t)n));
}

static enum probe_outcome too_late(struct probe *p, uint64_t timeout)
{
    char after[32];
    bool whole = timeout % 1000 == 0;
    snprintf(after, sizeof after, "%" PRIu64 " %s", whole ? timeout / 1000 : timeout,
             whole ? "s" : "ms");
    switch (p->state) {
    case PROBE_CONNECT:
        return end(p, PROBE_FAILED, "timeout after %s while connecting", after);
    case PROBE_SEND:
        return end(p, PROBE_FAILED, "timeout after %s while sending", after);
    case PROBE_HEAR:
        break;
    }
    return too_late_to_hear(p, after);
}

enum probe_outcome probe_look(struct probe *p)
{
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    if (poll(&pfd, 1, 0) != 1)
        return PROBE_RUNNING;
    return probe_step(p, (uint32_t)pfd.revents); /* epoll's bits are poll's */
}

enum probe_outcome probe_expire(struct probe *p, uint64_t timeout)
{
    enum probe_outcome outcome = probe_look(p);
    return outcome == PROBE_RUNNING ? too_late(p, timeout) : outcome;
}

enum probe_outcome probe_give_up(struct probe *p, int error)
{
    char text[ERROR_TEXT_MAX];
    return end(p, PROBE_UNKNOWN, "%s", error_text(error, text));
}

void probe_stop(struct probe *p)
{
    if (p->fd == -1)
        return;
    sock_reset(p->fd);
    p->fd = -1;
}
