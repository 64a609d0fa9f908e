/* For the files of a flow: flow.c, flow_ktls.c, flow_tls.c. */
#ifndef ZPROXY_RELAY_FLOW_INTERNAL_H
#define ZPROXY_RELAY_FLOW_INTERNAL_H

#include "relay/flow.h"

/* Steps return STEP_DONE when something has moved or changed and the next step may follow,
 * STEP_WAIT when an end is not ready, or -errno. */
enum step {
    STEP_WAIT,
    STEP_DONE,
};

/* error: of a read from the source. Returns a step, or -errno when the source has failed. */
int flow_source_stopped(struct side *src, int error);

/* error: of a write to the sink. Likewise. */
int flow_sink_stopped(struct flow *f, struct side *dst, int error);

/* The source has ended, and everything that it sent was read. */
int flow_source_ended(struct flow *f, struct side *src, struct side *dst);

/* n bytes are in the pipe p now, which has been taken from the source. */
void flow_filled(struct flow *f, struct pipe *p, size_t n);

/* The bytes that a fill may take at most. */
size_t flow_room(const struct flow *f, const struct pipe *p, const struct relay_stock *stock);

/* Steps: from the source to the sink through user space; from the pipe to the sink. */
int flow_copy(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);
int flow_drain_pipe(struct flow *f, struct side *dst, struct relay_stock *stock);

/* What was taken from the source for the rate limit; what the sink has. */
void flow_spend(struct flow *f, size_t n);
void flow_delivered(struct flow *f, struct relay_stock *stock, enum relay_path path, size_t n);

/* Before bytes are written to the sink: see flow.c. */
void flow_disable_nagle(const struct flow *f, struct side *dst);

/* ---- sides whose TLS is in user space (SIDE_TLS) ---- */

static inline bool flow_has_tls(const struct side *src, const struct side *dst)
{
    return ((src->ready | dst->ready) & SIDE_TLS) != 0;
}

/* Steps: from the source to the sink; what the sink did not take; in FLOW_CLOSE. */
int flow_tls_fill(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);
int flow_tls_drain(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);
int flow_tls_close(struct flow *f, struct side *dst);

/* ---- sides whose TLS is in the kernel (SIDE_KTLS) ---- */

/* Steps: from the source to the pipe; from the pipe to the sink; in FLOW_CLOSE. */
int flow_ktls_fill(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);
int flow_ktls_drain(struct flow *f, struct side *dst, struct relay_stock *stock);
int flow_ktls_close(struct flow *f, struct side *dst);

/* The source does not return what comes next as data: it is a record of another type. A step. */
int flow_ktls_control(struct flow *f, struct side *src, struct side *dst);

/* Before data is sent, and after n bytes of at most `fragments` fragments were sent. Steps. */
int flow_ktls_before(struct flow *f, struct side *dst);
int flow_ktls_after(struct flow *f, struct side *dst, size_t n, uint32_t fragments);

#endif
