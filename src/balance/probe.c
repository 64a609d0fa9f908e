#include "balance/probe.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "balance/http_status.h"
#include "balance/probe_text.h"
#include "balance/probe_tls.h"
#include "base/human.h"
#include "base/proxy_header.h"
#include "base/sandbox.h"
#include "relay/self_connect.h"
#include "relay/sock.h"

/* ---- with TLS or without ---- */

static void probe_free_tls(struct probe *p)
{
    probe_tls_free(p->tls);
    p->tls = NULL;
}

/* As recv(2) with MSG_PEEK. */
static ssize_t probe_peek_bytes(struct probe *p, char data[PROBE_RECEIVE_MAX])
{
    return p->tls != NULL ? probe_tls_peek(p->tls, data, PROBE_RECEIVE_MAX)
                          : recv(p->fd, data, PROBE_RECEIVE_MAX, MSG_PEEK);
}

/* As send(2). */
static ssize_t probe_send_bytes(struct probe *p, const char *data, size_t len)
{
    return p->tls != NULL ? probe_tls_send(p->tls, data, len)
                          : send(p->fd, data, len, MSG_NOSIGNAL);
}

static bool is_tls_failure(int error)
{
    return error == EPROTO || error == EBADMSG;
}

/* The text of an error of the connection. */
static const char *probe_failure(const struct probe *p, int error, char text[HUMAN_ERROR_MAX])
{
    return is_tls_failure(error) && p->tls != NULL ? probe_tls_why(p->tls)
                                                   : human_connection_error(error, text);
}

/* ---- end ---- */

static bool sends_bytes(const struct script *s)
{
    return s->step_count > 0 || s->tls != NULL || s->header != CONFIG_SEND_PROXY_NO;
}

static bool is_http(const struct script *s)
{
    return s->request != NULL;
}

static void probe_close_socket(struct probe *p)
{
    probe_free_tls(p);
    close(p->fd);
    p->fd = -1;
}

/* Waits until the server closes. Drops what arrives before, since close(2) with unread bytes sends
 * a reset. */
static void probe_await_end(struct probe *p)
{
    char data[PROBE_RECEIVE_MAX];
    ssize_t n = 0;
    while (p->dropped <= PROBE_DISCARD_MAX && (n = recv(p->fd, data, sizeof data, 0)) > 0)
        p->dropped += (size_t)n;
    if (n > 0)
        probe_stop(p);
    else if (n == 0 || errno != EAGAIN)
        probe_close_socket(p);
}

/* A FIN tells the server that the check is over. An HTTP server gets no FIN: it has got
 * "Connection: close", and might take a FIN for a client that has gone. */
static void probe_close_gracefully(struct probe *p)
{
    p->state = PROBE_CLOSE;
    p->dropped = 0;
    if (p->tls != NULL)
        probe_tls_close(p->tls);
    probe_free_tls(p);
    if (!is_http(p->script))
        (void)shutdown(p->fd, SHUT_WR);
    probe_await_end(p);
}

/* Sets p->why, with the number of the step if the user wrote steps. */
static void __attribute__((format(printf, 2, 0)))
probe_set_reason(struct probe *p, const char *why, va_list args)
{
    int n = 0;
    if (p->script->is_numbered && (p->state == PROBE_SEND || p->state == PROBE_RECEIVE) &&
        p->step < p->script->step_count)
        n = snprintf(p->why, sizeof p->why, "step %zu: ", p->step + 1);
    vsnprintf(p->why + n, sizeof p->why - (size_t)n, why, args);
}

/* Ends the probe and closes the connection in order. */
static enum probe_outcome __attribute__((format(printf, 3, 4)))
probe_finish(struct probe *p, enum probe_outcome outcome, const char *why, ...)
{
    va_list args;
    va_start(args, why);
    probe_set_reason(p, why, args);
    va_end(args);
    if (p->fd != -1 && p->state != PROBE_CONNECT && sends_bytes(p->script))
        probe_close_gracefully(p);
    else
        probe_stop(p);
    return outcome;
}

/* Ends the probe and resets the connection. */
static enum probe_outcome __attribute__((format(printf, 3, 4)))
probe_fail(struct probe *p, enum probe_outcome outcome, const char *why, ...)
{
    va_list args;
    va_start(args, why);
    probe_set_reason(p, why, args);
    va_end(args);
    probe_stop(p);
    return outcome;
}

static const struct script_step *step_of(const struct probe *p)
{
    return &p->script->step[p->step];
}

/* ---- connect ---- */

static enum probe_outcome cannot_connect(struct probe *p, int error)
{
    char text[HUMAN_ERROR_MAX];
    if (sock_error_is_local(&p->script->to, error))
        return probe_fail(p, PROBE_UNKNOWN, "%s", human_error(error, text));
    if (error == EAGAIN)
        return probe_fail(p, PROBE_FAILED, "too many connections wait to be accepted");
    return probe_fail(p, PROBE_FAILED, "%s%s", human_error(error, text),
                      sandbox_hint(&p->script->to, error));
}

static void reset_state(struct probe *p)
{
    p->state = PROBE_CONNECT;
    p->http_position = HTTP_AT_STATUS;
    p->has_ended = false;
    p->step = 0;
    p->received = p->script == NULL ? 0 : p->script->step_count;
    p->sent = 0;
    p->dropped = 0;
}

void probe_init(struct probe *p)
{
    p->script = NULL;
    p->fd = -1;
    p->tls = NULL;
    p->why[0] = '\0';
    reset_state(p);
}

enum probe_outcome probe_start(struct probe *p, const struct script *script)
{
    const struct sock_options options = {
        .congestion = script->tcp->congestion,
        .dscp = script->tcp->dscp.value,
        .notsent_lowat = (int)script->tcp->notsent_lowat,
        .delay_ack = !sends_bytes(script),
    };
    p->script = script;
    reset_state(p);
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
    size_t len = proxy_header_write_local(header, v, &own, &server);
    ssize_t sent = send(p->fd, header, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent == -1 ? errno : (size_t)sent == len ? 0 : ENOBUFS;
}

/* Control's thread does not wait: a handshake goes on with the next event. */
static enum probe_outcome begin_handshake(struct probe *p)
{
    p->state = PROBE_HANDSHAKE;
    p->tls = probe_tls_new(p->script, p->fd);
    return p->tls != NULL ? PROBE_RUNNING : probe_fail(p, PROBE_UNKNOWN, "out of memory");
}

static enum probe_outcome finish_connecting(struct probe *p, uint32_t events)
{
    int error = sock_error(p->fd);
    if (error == 0 && self_connect_has_port(&p->script->to) && self_connect_happened(p->fd))
        error = ECONNREFUSED;
    if (error == 0 && (events & EPOLLOUT) != 0)
        error = send_header(p);
    if (error != 0)
        return cannot_connect(p, error);
    if ((events & EPOLLOUT) == 0)
        return PROBE_RUNNING;
    if (p->script->tls != NULL)
        return begin_handshake(p);
    p->state = PROBE_SEND;
    return PROBE_RUNNING;
}

static enum probe_outcome handshake_failed(struct probe *p, int error)
{
    char text[HUMAN_ERROR_MAX];
    if (error == ENOMEM)
        return probe_fail(p, PROBE_UNKNOWN, "%s", probe_failure(p, error, text));
    if (error == ECONNABORTED)
        return probe_fail(p, PROBE_FAILED, "TLS: the server closed during the handshake");
    return probe_fail(p, PROBE_FAILED, "TLS: %s", probe_failure(p, error, text));
}

static enum probe_outcome continue_handshake(struct probe *p)
{
    int rc = probe_tls_handshake(p->tls);
    if (rc == -EAGAIN)
        return PROBE_RUNNING;
    if (rc < 0)
        return handshake_failed(p, -rc);
    p->state = PROBE_SEND;
    return PROBE_RUNNING;
}

/* ---- receive ---- */

/* Reads len bytes from the socket, which were peeked at before. */
static void probe_discard(struct probe *p, size_t len)
{
    char data[PROBE_RECEIVE_MAX];
    if (p->tls != NULL) {
        probe_tls_discard(p->tls, len);
        return;
    }
    while (len > 0) {
        ssize_t n = recv(p->fd, data, len < sizeof data ? len : sizeof data, 0);
        if (n <= 0)
            return;
        len -= (size_t)n;
    }
}

static enum probe_outcome judge_status(struct probe *p, const char *data, size_t len)
{
    const struct config_range *range = p->script->status;
    char received[PROBE_QUOTE_MAX];
    int status = http_status(data, len);
    if (status == 0)
        return PROBE_RUNNING;
    if (status < 0)
        return probe_finish(p, PROBE_FAILED, "not HTTP: %s",
                            probe_text_quote(p->script, received, data, len));
    bool fine = (unsigned)status >= range->low && (unsigned)status <= range->high;
    return probe_finish(p, fine ? PROBE_PASSED : PROBE_FAILED, "HTTP %d", status);
}

static bool probe_step_matches(const struct script_step *s, const char *data, size_t len)
{
    regmatch_t within = { .rm_so = 0, .rm_eo = (regoff_t)len };
    switch (s->kind) {
    case SCRIPT_EXPECT:
    case SCRIPT_EXPECT_NOT:
        return memmem(data, len, s->data, s->len) != NULL;
    case SCRIPT_EXPECT_REGEX: /* REG_STARTEND: the bytes may include NUL */
        return regexec(s->regex, data, 0, &within, REG_STARTEND) == 0;
    case SCRIPT_SEND:
    case SCRIPT_EXPECT_STATUS:
        break;
    }
    return false;
}

/* The expect_not step of this answer, up to the current step, that the answer violates; NULL: none.
 */
static const struct script_step *find_unwanted(struct probe *p, const char *data, size_t len)
{
    const struct script *s = p->script;
    for (size_t i = p->step + 1; i > 0 && s->step[i - 1].kind != SCRIPT_SEND; i--)
        if (s->step[i - 1].kind == SCRIPT_EXPECT_NOT &&
            probe_step_matches(&s->step[i - 1], data, len)) {
            p->step = i - 1;
            return &s->step[i - 1];
        }
    return NULL;
}

static enum probe_outcome probe_pass(struct probe *p, const char *data, size_t len)
{
    const struct script *s = p->script;
    char text[PROBE_QUOTE_MAX];
    if (s->step_count == 0)
        return probe_finish(p, PROBE_PASSED, s->tls == NULL ? "connected" : "connected, TLS");
    if (p->received == s->step_count)
        return probe_finish(p, PROBE_PASSED, "sent");
    const struct script_step *last = &s->step[p->received];
    if (last->kind == SCRIPT_EXPECT)
        return probe_finish(p, PROBE_PASSED, "got %s",
                            probe_text_quote(p->script, text, last->data, last->len));
    if (len > 0)
        return probe_finish(p, PROBE_PASSED, "got %s",
                            probe_text_received(p->script, last, text, data, len));
    return probe_finish(p, PROBE_PASSED, "sent");
}

/* Goes on to the next step that has to wait. */
static enum probe_outcome judge_steps(struct probe *p, const char *data, size_t len)
{
    const struct script *s = p->script;
    char expected[PROBE_QUOTE_MAX];
    char received[PROBE_QUOTE_MAX];
    while (p->step < s->step_count && step_of(p)->kind != SCRIPT_SEND) {
        const struct script_step *unwanted = find_unwanted(p, data, len);
        if (unwanted != NULL)
            return probe_finish(p, PROBE_FAILED, "unwanted %s, got %s",
                                probe_text_quote(p->script, expected, unwanted->data,
                                                 unwanted->len),
                                probe_text_received(p->script, unwanted, received, data, len));
        bool is_content = step_of(p)->kind == SCRIPT_EXPECT_NOT
                              ? len > 0
                              : probe_step_matches(step_of(p), data, len);
        if (!is_content)
            return PROBE_RUNNING;
        p->received = p->step++;
    }
    if (p->step == s->step_count)
        return probe_pass(p, data, len);
    probe_discard(p, len); /* the next answer is to the next send */
    p->state = PROBE_SEND;
    p->sent = 0;
    return PROBE_RUNNING;
}

/* Ends the probe when the server sends nothing more. error: of the socket; 0: closed in order. */
static enum probe_outcome judge_end(struct probe *p, const char *data, size_t len, int error)
{
    char expected[PROBE_TEXT_EXPECTED_MAX];
    char received[PROBE_QUOTE_MAX];
    char text[HUMAN_ERROR_MAX];
    if (len > 0)
        return probe_finish(p, PROBE_FAILED, "expected %s, got %s",
                            probe_text_expected(p->script, step_of(p), expected),
                            probe_text_received(p->script, step_of(p), received, data, len));
    if (error != 0)
        return probe_fail(p, PROBE_FAILED, "%s%s", is_tls_failure(error) ? "TLS: " : "",
                          probe_failure(p, error, text));
    return probe_finish(p, PROBE_FAILED, "expected %s, got the end of the connection",
                        probe_text_expected(p->script, step_of(p), expected));
}

/* Peeks at the bytes received so far, after interim HTTP answers. Returns their number or -errno.
 */
static ssize_t probe_peek(struct probe *p, char data[PROBE_RECEIVE_MAX])
{
    for (;;) {
        ssize_t n = probe_peek_bytes(p, data);
        if (n <= 0) {
            p->has_ended |= n == 0;
            return n == 0 || errno == EAGAIN ? 0 : -errno;
        }
        if (step_of(p)->kind != SCRIPT_EXPECT_STATUS)
            return n;
        size_t interim = http_skip_interim(&p->http_position, data, (size_t)n);
        if (interim == 0)
            return p->http_position == HTTP_AT_STATUS ? n : 0;
        probe_discard(p, interim);
        p->dropped += interim;
        if (p->dropped > PROBE_INTERIM_MAX)
            return -EMSGSIZE;
    }
}

/* error: of the socket, if the caller has read it already; or 0. */
static enum probe_outcome receive(struct probe *p, int error)
{
    char data[PROBE_RECEIVE_MAX];
    ssize_t n = probe_peek(p, data);
    if (n == -EMSGSIZE)
        return probe_finish(p, PROBE_FAILED, "more than %d bytes of interim answers of HTTP",
                            PROBE_INTERIM_MAX);
    if (n < 0 && error == 0)
        error = (int)-n;
    bool over = p->has_ended || error != 0 || n == PROBE_RECEIVE_MAX;
    size_t len = n > 0 ? (size_t)n : 0;
    enum probe_outcome outcome = step_of(p)->kind == SCRIPT_EXPECT_STATUS
                                     ? judge_status(p, data, len)
                                     : judge_steps(p, data, len);
    if (outcome == PROBE_RUNNING && p->state == PROBE_RECEIVE && over)
        return judge_end(p, data, len, error != 0 ? error : sock_error(p->fd));
    return outcome;
}

/* ---- send ---- */

static enum probe_outcome cannot_send(struct probe *p, int error)
{
    char text[HUMAN_ERROR_MAX];
    size_t next = p->step + 1;
    if (next < p->script->step_count && p->script->step[next].kind != SCRIPT_SEND) {
        p->step = next; /* the server may have answered before it closed */
        p->state = PROBE_RECEIVE;
        return receive(p, error);
    }
    return probe_fail(p, PROBE_FAILED, "%s while sending", probe_failure(p, error, text));
}

/* Sends the rest of the steps before the next one that expects an answer. */
static enum probe_outcome send_rest(struct probe *p)
{
    const struct script *s = p->script;
    while (p->step < s->step_count && step_of(p)->kind == SCRIPT_SEND) {
        const struct script_step *step = step_of(p);
        ssize_t n = probe_send_bytes(p, step->data + p->sent, step->len - p->sent);
        if (n == -1)
            return errno == EAGAIN ? PROBE_RUNNING : cannot_send(p, errno);
        p->sent += (size_t)n;
        if (p->sent < step->len)
            continue;
        p->step++;
        p->sent = 0;
    }
    if (p->step == s->step_count)
        return probe_pass(p, NULL, 0);
    p->state = PROBE_RECEIVE;
    return PROBE_RUNNING;
}

/* ---- run ---- */

/* Sends and receives until the probe has to wait. After a send it looks for bytes at once: the
 * answer may be there already, without a further event. */
static enum probe_outcome run_steps(struct probe *p, bool may_receive)
{
    enum probe_outcome outcome = PROBE_RUNNING;
    while (outcome == PROBE_RUNNING) {
        if (p->state == PROBE_SEND) {
            outcome = send_rest(p);
            if (outcome == PROBE_RUNNING && p->state == PROBE_SEND)
                return outcome;
            may_receive = true;
        } else {
            if (may_receive)
                outcome = receive(p, 0);
            if (outcome == PROBE_RUNNING && p->state == PROBE_RECEIVE)
                return outcome;
        }
    }
    return outcome;
}

enum probe_outcome probe_step(struct probe *p, uint32_t events)
{
    const uint32_t ends = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    enum probe_outcome outcome = PROBE_RUNNING;
    if (p->state == PROBE_CLOSE) {
        probe_await_end(p);
        return PROBE_RUNNING;
    }
    if (p->state == PROBE_CONNECT)
        outcome = finish_connecting(p, events);
    if (outcome == PROBE_RUNNING && p->state == PROBE_HANDSHAKE) {
        outcome = continue_handshake(p);
        events |= EPOLLIN; /* bytes that came with the end of the handshake have no further event */
    }
    if (outcome != PROBE_RUNNING || p->state == PROBE_CONNECT || p->state == PROBE_HANDSHAKE)
        return outcome;
    if (p->tls != NULL)
        probe_tls_flush(p->tls);
    p->has_ended |= (events & ends) != 0;
    return run_steps(p, (events & ~(uint32_t)EPOLLOUT) != 0);
}

static enum probe_outcome timed_out_receiving(struct probe *p, const char *after)
{
    char expected[PROBE_TEXT_EXPECTED_MAX];
    char received[PROBE_QUOTE_MAX];
    char data[PROBE_RECEIVE_MAX];
    ssize_t n = probe_peek_bytes(p, data);
    if (n <= 0)
        return probe_fail(p, PROBE_FAILED, "timeout after %s while waiting for %s", after,
                          probe_text_expected(p->script, step_of(p), expected));
    return probe_fail(p, PROBE_FAILED, "timeout after %s while waiting for %s, got %s", after,
                      probe_text_expected(p->script, step_of(p), expected),
                      probe_text_received(p->script, step_of(p), received, data, (size_t)n));
}

static enum probe_outcome timed_out(struct probe *p, uint64_t timeout)
{
    char after[32];
    bool whole = timeout % 1000 == 0;
    snprintf(after, sizeof after, "%" PRIu64 " %s", whole ? timeout / 1000 : timeout,
             whole ? "s" : "ms");
    switch (p->state) {
    case PROBE_CONNECT:
        return probe_fail(p, PROBE_FAILED, "timeout after %s while connecting", after);
    case PROBE_HANDSHAKE:
        return probe_fail(p, PROBE_FAILED, "timeout after %s in the TLS handshake", after);
    case PROBE_SEND:
        return probe_fail(p, PROBE_FAILED, "timeout after %s while sending", after);
    case PROBE_RECEIVE:
    case PROBE_CLOSE:
        break;
    }
    return timed_out_receiving(p, after);
}

enum probe_outcome probe_poll(struct probe *p)
{
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN | POLLOUT | POLLRDHUP };
    if (poll(&pfd, 1, 0) != 1)
        return PROBE_RUNNING;
    return probe_step(p, (uint32_t)pfd.revents); /* epoll's bits are poll's */
}

enum probe_outcome probe_expire(struct probe *p, uint64_t timeout)
{
    enum probe_outcome outcome = probe_poll(p);
    return outcome == PROBE_RUNNING ? timed_out(p, timeout) : outcome;
}

enum probe_outcome probe_give_up(struct probe *p, int error)
{
    char text[HUMAN_ERROR_MAX];
    return probe_fail(p, PROBE_UNKNOWN, "%s", human_error(error, text));
}

void probe_stop(struct probe *p)
{
    probe_free_tls(p);
    if (p->fd == -1)
        return;
    sock_reset(p->fd);
    p->fd = -1;
}
