#include "relay/flow.h"

#include <assert.h>
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "build.h"
#include "relay/flow_internal.h"
#include "relay/sock.h"
#include "relay/syscall.h"

/* Steps of one flow in one wake-up, before other sessions are processed: a fill and a drain are two
 * steps. */
#define FLOW_TURNS 16

/* Bytes copied at once: what is peeked at and sent should still be in cache when it is sent. */
#define FLOW_COPY (64 * 1024)

/* With at most this many bytes per slot, a pipe is practically never full: a stream that has more
 * to send than one packet holds sends much larger packets. */
#define FLOW_FRAGMENT 64

void flow_init(struct flow *f, enum relay_direction direction)
{
    *f = (struct flow){
        .allowed = FLOW_UNLIMITED,
        .state = FLOW_FILL,
        .direction = (uint8_t)direction,
    };
}

void flow_fini(struct flow *f, struct relay_stock *stock)
{
    if (f->pipe == NULL)
        return;
    pipe_discard(&stock->pipes, f->pipe);
    f->pipe = NULL;
}

void flow_delivered(struct flow *f, struct relay_stock *stock, enum relay_path path, size_t n)
{
    f->bytes += n;
    counter_add(&stock->bytes[path][f->direction], n);
}

static size_t flow_smaller(size_t a, uint64_t b)
{
    return a < b ? a : (size_t)b;
}

size_t flow_room(const struct flow *f, const struct pipe *p, const struct relay_stock *stock)
{
    return flow_smaller(flow_smaller(p->size, stock->buffer_size), f->allowed);
}

void flow_spend(struct flow *f, size_t n)
{
    if (f->allowed != FLOW_UNLIMITED)
        f->allowed -= n;
}

void flow_filled(struct flow *f, struct pipe *p, size_t n)
{
    p->held = (uint32_t)n;
    flow_spend(f, n);
    f->pipe = p;
    f->state = FLOW_DRAIN;
}

int flow_source_stopped(struct side *src, int error)
{
    if (error != EAGAIN && error != EINTR)
        return -error;
    if (error == EAGAIN)
        side_clear(src, SIDE_READABLE);
    return error == EAGAIN ? STEP_WAIT : STEP_DONE;
}

int flow_sink_stopped(struct flow *f, struct side *dst, int error)
{
    if (error != EAGAIN && error != EINTR) {
        f->sink_failed = true;
        return -error;
    }
    if (error == EAGAIN)
        side_clear(dst, SIDE_WRITABLE);
    return error == EAGAIN ? STEP_WAIT : STEP_DONE;
}

/* Disables Nagle's algorithm before the second write. It delays a short segment only while another
 * one is not acknowledged, so the first write is never delayed, and a connection with a single
 * request needs no call. */
void flow_disable_nagle(const struct flow *f, struct side *dst)
{
    if (!side_is(dst, SIDE_NAGLE) || f->bytes == 0)
        return;
    sock_set_nodelay(dst->fd);
    side_clear(dst, SIDE_NAGLE);
}

/* Takes n bytes that have been peeked at; tcp(7) drops them without a copy for MSG_TRUNC. */
static int flow_consume(struct side *src, struct relay_stock *stock, size_t n)
{
    while (n > 0) {
        ssize_t taken = recv(src->fd, stock->buffer, n, MSG_TRUNC | MSG_DONTWAIT);
        if (taken <= 0)
            return taken == -1 ? -errno : -EIO;
        n -= (size_t)taken;
    }
    return 0;
}

/* Peeks, sends, and takes from the source what was sent. That is three calls instead of two, but no
 * payload has to be kept in user space. */
int flow_copy(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    if (!side_is(dst, SIDE_WRITABLE))
        return STEP_WAIT; /* does not peek at bytes that cannot be sent */
    flow_disable_nagle(f, dst);
    int rc = side_is(dst, SIDE_KTLS) ? flow_ktls_before(f, dst) : STEP_DONE;
    if (rc != STEP_DONE)
        return rc;
    size_t room = flow_smaller(FLOW_COPY, f->allowed);
    ssize_t n = recv(src->fd, stock->buffer, room, MSG_PEEK | MSG_DONTWAIT);
    if (n == -1 && errno == EIO && side_is(src, SIDE_KTLS))
        return flow_ktls_control(f, src, dst);
    if (n == -1)
        return flow_source_stopped(src, errno);
    if (n == 0)
        return flow_source_ended(f, src, dst);
    rc = side_is(src, SIDE_KTLS) ? tls_kernel_received(&src->tls->kernel, src->fd) : 0;
    if (rc < 0)
        return rc;
    ssize_t sent = send(dst->fd, stock->buffer, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == -1)
        return flow_sink_stopped(f, dst, errno);
    rc = flow_consume(src, stock, (size_t)sent);
    if (rc < 0)
        return rc;
    flow_spend(f, (size_t)sent);
    flow_delivered(f, stock, RELAY_COPY, (size_t)sent);
    if (sent == n && (size_t)n < room && side_short_is_empty(src))
        side_clear(src, SIDE_READABLE);
    return side_is(dst, SIDE_KTLS) ? flow_ktls_after(f, dst, (size_t)sent, 0) : STEP_DONE;
}

static bool has_unread(const struct side *src)
{
    int unread = 0;
    return ioctl(src->fd, SIOCINQ, &unread) == -1 || unread > 0;
}

static void unload(struct flow *f, struct relay_stock *stock, enum relay_path path, size_t n)
{
    flow_delivered(f, stock, path, n);
    f->pipe->held -= (uint32_t)n;
    if (f->pipe->held > 0)
        return;
    pipe_put(&stock->pipes, f->pipe);
    f->pipe = NULL;
    f->state = FLOW_FILL;
}

/* Empties the pipe into a sink that cannot be spliced to. The bytes were spliced in before that was
 * known, or came by a handover. They are read and sent; those that were not sent are written back
 * into the pipe, which is empty then, so their order stays. */
static int drain_by_copy(struct flow *f, struct side *dst, struct relay_stock *stock)
{
    size_t held = f->pipe->held;
    assert(held <= stock->buffer_size); /* relay_stock.h */
    if (read(f->pipe->out, stock->buffer, held) != (ssize_t)held)
        return -EIO;
    ssize_t sent = send(dst->fd, stock->buffer, held, MSG_NOSIGNAL | MSG_DONTWAIT);
    int error = errno;
    size_t rest = sent > 0 ? held - (size_t)sent : held;
    if (rest > 0 && write(f->pipe->in, stock->buffer + held - rest, rest) != (ssize_t)rest)
        return -EIO;
    if (sent > 0)
        unload(f, stock, RELAY_COPY, (size_t)sent);
    return sent == -1 ? flow_sink_stopped(f, dst, error) : STEP_DONE;
}

#ifdef ZPROXY_SPLICE
static bool is_refusal(int error)
{
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == EPERM;
}

static void flow_splice_refused(struct flow *f, struct relay_stock *stock, int error)
{
    f->copy = true;
    relay_stock_count_fallback(stock, RELAY_REFUSED, error);
}

/* After a read that was shorter than it could have been: is the socket empty? It is when there are
 * fewer bytes than slots, which cannot have filled the pipe. Otherwise SIOCINQ (tcp(7)) returns the
 * answer, at a cost that shows in small exchanges: when it is almost certain, it is guessed, and
 * usually the next message makes the call needless. */
static void note_short_fill(const struct flow *f, const struct pipe *p, struct side *src)
{
    if (!side_short_is_empty(src))
        return;
    bool proven = p->held < p->slots;
    bool guessed = !proven && !f->misguessed && p->held <= p->slots * FLOW_FRAGMENT;
    if (proven || guessed || !has_unread(src))
        side_clear(src, SIDE_READABLE);
    side_clear(src, SIDE_GUESSED | SIDE_DOUBTED);
    if (guessed)
        side_set(src, SIDE_GUESSED);
}

/* Fills an empty pipe: so EAGAIN can only mean an empty socket, never a pipe out of slots. */
static int flow_splice_in(struct flow *f, struct side *src, struct side *dst,
                          struct relay_stock *stock)
{
    struct pipe *p = pipe_get(&stock->pipes);
    if (p == NULL) {
        relay_stock_count_fallback(stock, RELAY_NO_PIPE, errno);
        return flow_copy(f, src, dst, stock);
    }
    size_t room = flow_room(f, p, stock);
    ssize_t n = sys_splice(src->fd, p->in, room); /* the sockets are non-blocking */
    if (n > 0) {
        flow_filled(f, p, (size_t)n);
        if (p->held < room)
            note_short_fill(f, p, src);
        return STEP_DONE;
    }
    pipe_put(&stock->pipes, p);
    if (n == 0) {
        /* splice(2) returns 0 at the urgent mark too. If FIN has not been reported yet, wait for
         * the next event, which reports either of them. */
        if (side_is(src, SIDE_ENDED))
            return flow_source_ended(f, src, dst);
        side_clear(src, SIDE_READABLE);
        return STEP_DONE;
    }
    if (is_refusal((int)-n)) {
        flow_splice_refused(f, stock, (int)-n);
        return STEP_DONE;
    }
    return flow_source_stopped(src, (int)-n);
}

/* Splices exactly what the pipe holds, and never with SPLICE_F_MORE: the kernel would then delay
 * the end of a message by up to 200 ms. */
static int flow_splice_out(struct flow *f, struct side *dst, struct relay_stock *stock)
{
    if (f->copy)
        return drain_by_copy(f, dst, stock);
    ssize_t n = sys_splice(f->pipe->out, dst->fd, f->pipe->held);
    if (n > 0) {
        unload(f, stock, RELAY_SPLICE, (size_t)n);
        return STEP_DONE;
    }
    if (is_refusal((int)-n)) {
        flow_splice_refused(f, stock, (int)-n);
        return STEP_DONE;
    }
    return n == 0 ? -EIO : flow_sink_stopped(f, dst, (int)-n);
}
#endif

static bool at_mark(const struct side *src)
{
    int at = 0;
    return ioctl(src->fd, SIOCATMARK, &at) == 0 && at;
}

/* Only recv(2) reads past the urgent mark; splice(2) stops before it for ever. SIDE_URGENT stays
 * set if a new mark has arrived meanwhile. */
static int cross_mark(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    uint64_t before = f->bytes;
    int rc = flow_copy(f, src, dst, stock);
    if (f->bytes > before) {
        struct pollfd ask = { .fd = src->fd, .events = POLLPRI };
        f->mark_passed = false;
        if (poll(&ask, 1, 0) == 0)
            side_clear(src, SIDE_URGENT);
    }
    return rc;
}

/* The urgent byte is not in the stream (no SO_OOBINLINE), so it is sent as an urgent byte. It is
 * dropped when the sink does not support them, as by a receiver that does not read it. */
static int pass_mark(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    char byte;
    if (!f->mark_passed && recv(src->fd, &byte, 1, MSG_OOB | MSG_PEEK | MSG_DONTWAIT) == 1) {
        if (!side_is(dst, SIDE_WRITABLE))
            return STEP_WAIT;
        if (send(dst->fd, &byte, 1, MSG_OOB | MSG_NOSIGNAL | MSG_DONTWAIT) == -1 &&
            errno != EOPNOTSUPP)
            return flow_sink_stopped(f, dst, errno);
        f->mark_passed = true;
    }
    return cross_mark(f, src, dst, stock);
}

static int flow_fill(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    if (flow_has_tls(src, dst))
        return flow_tls_fill(f, src, dst, stock);
    if (!side_is(src, SIDE_READABLE) || f->allowed == 0)
        return STEP_WAIT;
    if (side_is(src, SIDE_URGENT) && !side_is(src, SIDE_KTLS) && at_mark(src))
        return pass_mark(f, src, dst, stock);
#ifdef ZPROXY_SPLICE
    if (stock->splice && !f->copy)
        return side_is(src, SIDE_KTLS) ? flow_ktls_fill(f, src, dst, stock)
                                       : flow_splice_in(f, src, dst, stock);
#endif
    return flow_copy(f, src, dst, stock);
}

int flow_drain_pipe(struct flow *f, struct side *dst, struct relay_stock *stock)
{
#ifdef ZPROXY_SPLICE
    return flow_splice_out(f, dst, stock);
#else
    return drain_by_copy(f, dst, stock);
#endif
}

static int flow_drain(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    if (!side_is(dst, SIDE_WRITABLE))
        return STEP_WAIT;
    if (flow_has_tls(src, dst))
        return flow_tls_drain(f, src, dst, stock);
    flow_disable_nagle(f, dst);
    return side_is(dst, SIDE_KTLS) ? flow_ktls_drain(f, dst, stock)
                                   : flow_drain_pipe(f, dst, stock);
}

/* A reset, which shows that the stream was cut, would destroy what is still in the sink's queue. */
static int flow_reset(const struct side *dst)
{
    int queued = 0;
    return ioctl(dst->fd, SIOCOUTQ, &queued) == 0 && queued > 0 ? STEP_WAIT : -ECONNRESET;
}

static int flow_close(struct flow *f, struct side *dst)
{
    return side_is(dst, SIDE_TLS)    ? flow_tls_close(f, dst)
           : side_is(dst, SIDE_KTLS) ? flow_ktls_close(f, dst)
                                     : flow_reset(dst);
}

int flow_pump(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    for (int turn = 0; turn < FLOW_TURNS; turn++) { /* then let other sessions run */
        int rc = STEP_WAIT;
        switch ((enum flow_state)f->state) {
        case FLOW_FILL:
            rc = flow_fill(f, src, dst, stock);
            break;
        case FLOW_DRAIN:
            rc = flow_drain(f, src, dst, stock);
            break;
        case FLOW_CLOSE:
            rc = flow_close(f, dst);
            break;
        case FLOW_DONE:
            return FLOW_WAIT;
        }
        if (rc < 0)
            return rc;
        if (rc == STEP_WAIT)
            return FLOW_WAIT;
    }
    return FLOW_AGAIN;
}

bool flow_confirm(struct flow *f, struct side *src)
{
    if (!side_is(src, SIDE_GUESSED))
        return false;
    if (!side_is(src, SIDE_DOUBTED)) {
        side_set(src, SIDE_DOUBTED);
        return false;
    }
    side_clear(src, SIDE_GUESSED | SIDE_DOUBTED);
    if (side_is(src, SIDE_READABLE) || !has_unread(src))
        return false;
    f->misguessed = true;
    side_set(src, SIDE_READABLE);
    return true;
}
