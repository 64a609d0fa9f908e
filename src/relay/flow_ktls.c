#include <errno.h>
#include <sys/socket.h>

#include "build.h"
#include "relay/flow_internal.h"
#include "relay/syscall.h"
#include "tls/tls_side.h"

/* Bytes: behind a record of this length another one is expected. */
#define LONG_RECORD 4096

static struct tls_kernel *kernel_of(const struct side *sd)
{
    return &sd->tls->kernel;
}

int flow_source_ended(struct flow *f, struct side *src, struct side *dst)
{
    bool cut = side_is(src, SIDE_TLS)    ? src->tls->cut
               : side_is(src, SIDE_KTLS) ? !kernel_of(src)->close_received
                                         : false;
    if (cut && !f->cut)
        tls_side_note_error(src->tls, ECONNABORTED, false);
    f->cut |= cut;
    f->state = cut || side_is(dst, SIDE_KTLS) || side_is(dst, SIDE_TLS) ? FLOW_CLOSE : FLOW_DONE;
    return STEP_DONE;
}

int flow_ktls_control(struct flow *f, struct side *src, struct side *dst)
{
    int rc = tls_kernel_control(kernel_of(src), src->fd);
    if (rc == 1)
        return flow_source_ended(f, src, dst);
    return rc < 0 ? flow_source_stopped(src, -rc) : STEP_DONE;
}

#ifdef ZPROXY_SPLICE
/* A pipe takes several records, as long as it has room for another one, and they are long: behind a
 * short one there is probably nothing. What stops a later record comes again with the next fill. */
static size_t fill_more(struct side *src, const struct pipe *p, size_t held, size_t room)
{
    size_t last = held;
    for (uint32_t records = 1;
         (records + 1) * KTLS_RECORD_SLOTS <= p->slots && last >= LONG_RECORD && held < room;
         records++) {
        ssize_t n = sys_splice(src->fd, p->in, room - held);
        if (n <= 0) {
            if (n == -EAGAIN)
                side_clear(src, SIDE_READABLE);
            break;
        }
        last = (size_t)n;
        held += last;
    }
    return held;
}

/* A splice has returned 0: that is the end of the stream, or an empty record. recv(2) skips empty
 * records. A record of another type is EIO, since there is no room for its type; the next splice(2)
 * refuses it. */
static int flow_ktls_empty(struct flow *f, struct side *src, struct side *dst)
{
    char byte;
    ssize_t n = recv(src->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n == 0)
        return flow_source_ended(f, src, dst);
    return n == -1 && errno != EIO ? flow_source_stopped(src, errno) : STEP_DONE;
}

static int flow_ktls_splice_in(struct flow *f, struct side *src, struct side *dst, struct pipe *p,
                               struct relay_stock *stock)
{
    size_t room = flow_room(f, p, stock);
    ssize_t n = sys_splice(src->fd, p->in, room);
    int rc = n > 0 ? tls_kernel_received(kernel_of(src), src->fd) : 0;
    if (rc < 0) {
        pipe_discard(&stock->pipes, p); /* it has the bytes */
        return rc;
    }
    if (n > 0) {
        flow_filled(f, p, fill_more(src, p, (size_t)n, room));
        return STEP_DONE;
    }
    pipe_put(&stock->pipes, p);
    if (n == 0)
        return flow_ktls_empty(f, src, dst);
    if (n == -EINVAL)
        return flow_ktls_control(f, src, dst);
    return flow_source_stopped(src, (int)-n);
}

int flow_ktls_fill(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock)
{
    struct pipe *p = pipe_get(&stock->pipes);
    if (p == NULL) {
        relay_stock_count_fallback(stock, RELAY_NO_PIPE, errno);
        return flow_copy(f, src, dst, stock);
    }
    if (p->slots < KTLS_RECORD_SLOTS) { /* see there */
        pipe_put(&stock->pipes, p);
        relay_stock_count_fallback(stock, RELAY_NO_PIPE, ENOBUFS);
        return flow_copy(f, src, dst, stock);
    }
    return flow_ktls_splice_in(f, src, dst, p, stock);
}
#endif

int flow_ktls_before(struct flow *f, struct side *dst)
{
    struct tls_kernel *k = kernel_of(dst);
    int rc = k->update_due ? tls_kernel_update(k, dst->fd) : 0;
    return rc < 0 ? flow_sink_stopped(f, dst, -rc) : STEP_DONE;
}

int flow_ktls_after(struct flow *f, struct side *dst, size_t n, uint32_t fragments)
{
    int rc = tls_kernel_count(kernel_of(dst), dst->fd, n, fragments);
    return rc < 0 ? flow_sink_stopped(f, dst, -rc) : STEP_DONE;
}

int flow_ktls_drain(struct flow *f, struct side *dst, struct relay_stock *stock)
{
    uint64_t before = f->bytes;
    uint32_t fragments = f->pipe->slots;
    int rc = flow_ktls_before(f, dst);
    if (rc == STEP_DONE)
        rc = flow_drain_pipe(f, dst, stock);
    if (rc == STEP_WAIT)
        ktls_push(dst->fd);
    if (rc == STEP_DONE && f->bytes > before)
        rc = flow_ktls_after(f, dst, (size_t)(f->bytes - before), fragments);
    return rc;
}

/* Everything must be in the TCP stream before the caller may pass FIN on. While it is not, an event
 * of the sink comes when there is room; or the kernel's own thread is about to send it, without an
 * event: the caller looks again (flow_is_closing()). */
int flow_ktls_close(struct flow *f, struct side *dst)
{
    struct tls_kernel *k = kernel_of(dst);
    int rc = f->cut ? 0 : tls_kernel_close(k, dst->fd);
    if (rc == 0)
        rc = tls_kernel_is_flushed(k, dst->fd, f->bytes);
    if (rc < 0)
        return flow_sink_stopped(f, dst, -rc);
    if (rc == 0)
        return STEP_WAIT;
    f->state = FLOW_DONE;
    return STEP_DONE;
}
