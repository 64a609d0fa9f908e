#include <errno.h>
#include <sys/socket.h>

#include "relay/flow_internal.h"
#include "tls/tls_side.h"
#include "tls/tls_stream.h"

/* Bytes of one step: what was decrypted should still be in cache when it is sent. */
#define FLOW_TLS (64 * 1024)

/* Records of one step: a client with records of one byte must not hold up the other sessions. */
#define READS_MAX 32

static struct tls_stream *stream_of(const struct side *sd)
{
    return sd->tls->stream;
}

/* ---- from the source ---- */

/* Reads records until the buffer is full or the socket is empty. An end or an error behind them
 * comes again with the next call. Returns as tls_stream_read(). */
static ssize_t read_records(struct side *src, char *buffer, size_t room)
{
    size_t n = 0;
    ssize_t got = 0;
    bool empty = false;
    for (int reads = 0; reads < READS_MAX && n < room && !empty; reads++) {
        got = tls_stream_read(stream_of(src), buffer + n, room - n);
        if (got <= 0)
            break;
        n += (size_t)got;
        empty = side_short_is_empty(src) && tls_stream_is_drained(stream_of(src));
    }
    if (got == -EAGAIN || empty)
        side_clear(src, SIDE_READABLE);
    if (tls_stream_has_received_bytes(stream_of(src)) && n == 0)
        side_set(src, SIDE_MOVED); /* of a record that is not complete, or without data */
    return n > 0 ? (ssize_t)n : got;
}

static ssize_t read_socket(struct side *src, char *buffer, size_t room)
{
    ssize_t n = recv(src->fd, buffer, room, MSG_DONTWAIT);
    int rc = n > 0 && side_is(src, SIDE_KTLS) ? tls_kernel_received(&src->tls->kernel, src->fd) : 0;
    if (rc < 0)
        return rc;
    if (n > 0 && (size_t)n < room && side_short_is_empty(src))
        side_clear(src, SIDE_READABLE);
    return n == -1 ? -errno : n;
}

/* Nothing was read: n is 0 or -errno. */
static int nothing_read(struct flow *f, struct side *src, struct side *dst, ssize_t n)
{
    if (side_is(src, SIDE_KTLS) && n == -EIO)
        return flow_ktls_control(f, src, dst);
    if (side_is(src, SIDE_TLS) && n == -ECONNABORTED) {
        src->tls->cut = true;
        n = 0;
    }
    return n == 0 ? flow_source_ended(f, src, dst) : flow_source_stopped(src, (int)-n);
}

/* ---- to the sink ---- */

/* What does not fit stays in the stream of the sink. */
static int write_records(struct flow *f, struct side *dst, struct relay_stock *stock, size_t n)
{
    int rc = tls_stream_write(stream_of(dst), stock->buffer, n);
    if (rc < 0)
        return flow_sink_stopped(f, dst, -rc);
    flow_delivered(f, stock, RELAY_TLS, n);
    return STEP_DONE;
}

static int after_send(struct flow *f, struct side *dst, size_t n)
{
    return side_is(dst, SIDE_KTLS) ? flow_ktls_after(f, dst, n, 0) : STEP_DONE;
}

/* What does not fit stays with the source. */
static int write_socket(struct flow *f, struct side *src, struct side *dst,
                        struct relay_stock *stock, size_t n)
{
    flow_disable_nagle(f, dst);
    ssize_t sent = send(dst->fd, stock->buffer, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == -1 && errno != EAGAIN && errno != EINTR)
        return flow_sink_stopped(f, dst, errno);
    size_t done = sent > 0 ? (size_t)sent : 0;
    flow_delivered(f, stock, RELAY_TLS, done);
    if (done < n) {
        if (buffer_append(&src->tls->held, stock->buffer + done, n - done) < 0)
            return -ENOMEM;
        f->state = FLOW_DRAIN;
    }
    return after_send(f, dst, done);
}

/* Sends what the stream of the sink has kept: these bytes were counted before. */
static int flush_kept(struct side *dst)
{
    bool progress = false;
    int rc = tls_side_flush(dst->tls, &progress);
    if (progress)
        side_set(dst, SIDE_MOVED);
    return rc;
}

/* Sends what the sink has not taken before. */
static int make_room(struct flow *f, struct side *dst)
{
    if (side_is(dst, SIDE_KTLS))
        return flow_ktls_before(f, dst);
    if (!side_is(dst, SIDE_TLS) || !tls_stream_has_rest(stream_of(dst)))
        return STEP_DONE;
    int rc = flush_kept(dst);
    return rc < 0 ? flow_sink_stopped(f, dst, -rc) : STEP_DONE;
}

/* ---- steps ---- */

/* There is nothing to read: an idle session keeps no memory for bytes. */
static int wait_for_source(struct side *src, struct side *dst)
{
    if (src->tls != NULL)
        tls_side_trim(src->tls);
    if (dst->tls != NULL)
        tls_side_trim(dst->tls);
    return STEP_WAIT;
}

/* The stream of the sink was cut, and the source gets a reset for it, by the other flow, as soon as
 * everything before has arrived. A source with TLS gets FIN without close_notify instead: its own
 * stream goes on. */
static bool waits_for_reset(const struct side *src, const struct side *dst)
{
    return side_is(dst, SIDE_TLS) && dst->tls->cut && src->tls == NULL;
}

int flow_tls_fill(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    if (!side_is(dst, SIDE_WRITABLE) || waits_for_reset(src, dst))
        return STEP_WAIT;
    int rc = make_room(f, dst);
    if (rc != STEP_DONE)
        return rc;
    if (!side_is(src, SIDE_READABLE))
        return wait_for_source(src, dst);
    if (f->allowed == 0)
        return STEP_WAIT;
    size_t room = FLOW_TLS < f->allowed ? FLOW_TLS : (size_t)f->allowed;
    ssize_t n = side_is(src, SIDE_TLS) ? read_records(src, stock->buffer, room)
                                       : read_socket(src, stock->buffer, room);
    if (n <= 0) {
        rc = nothing_read(f, src, dst, n);
        return rc == STEP_WAIT ? wait_for_source(src, dst) : rc;
    }
    flow_spend(f, (size_t)n);
    return side_is(dst, SIDE_TLS) ? write_records(f, dst, stock, (size_t)n)
                                  : write_socket(f, src, dst, stock, (size_t)n);
}

int flow_tls_drain(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    struct buffer *held = &src->tls->held;
    int rc = make_room(f, dst);
    if (rc != STEP_DONE)
        return rc;
    flow_disable_nagle(f, dst);
    ssize_t sent =
        send(dst->fd, buffer_bytes(held), buffer_size(held), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent == -1)
        return flow_sink_stopped(f, dst, errno);
    flow_delivered(f, stock, RELAY_TLS, (size_t)sent);
    buffer_consume(held, (size_t)sent);
    if (buffer_size(held) == 0)
        f->state = FLOW_FILL;
    return after_send(f, dst, (size_t)sent);
}

/* Sends close_notify, unless the source was cut, and everything before it. */
int flow_tls_close(struct flow *f, struct side *dst)
{
    int rc = f->cut ? 0 : tls_stream_close(stream_of(dst));
    if (rc == 0)
        rc = flush_kept(dst);
    if (rc < 0)
        return flow_sink_stopped(f, dst, -rc);
    f->state = FLOW_DONE;
    return STEP_DONE;
}
