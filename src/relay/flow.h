/* One direction of a session: bytes from a source through a pipe to a sink.
 *
 * A flow has no event loop: it moves bytes until it has to wait; its state and the readiness of the
 * sides show what it waits for. A flow has a pipe only while bytes are in it. Without TLS in user
 * space it never keeps payload there: where splice(2) cannot be used, it peeks at the bytes, sends
 * them, and takes from the source only what was sent, so that what the sink does not take stays in
 * the kernel. With TLS in user space (flow_tls.c), what the sink does not take is kept in memory:
 * encrypted bytes in the stream of the sink, decrypted ones in tls_side.held of the source; no more
 * is read then. Embedded in a session; for the worker's thread.
 */
#ifndef ZPROXY_RELAY_FLOW_H
#define ZPROXY_RELAY_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/relay_stock.h"
#include "relay/side.h"

enum flow_state {
    FLOW_FILL,  /* nothing to deliver: waits for the source to be readable */
    FLOW_DRAIN, /* bytes in the pipe, or held in user space: waits for the sink to be writable */
    FLOW_DONE,  /* source ended, all delivered: waits for nothing */
    FLOW_CLOSE, /* source ended: waits until everything, and close_notify of TLS, is sent */
};

struct flow {
    struct pipe *pipe; /* borrowed from the stock while bytes are in it, else NULL */
    uint64_t bytes;    /* delivered to the sink */
    uint64_t allowed;  /* bytes that may still be taken from the source (rate limit) */
    uint8_t state;     /* enum flow_state */
    uint8_t direction; /* enum relay_direction */
    bool copy;         /* the kernel refuses to splice these sockets: copy */
    bool misguessed;   /* a guess that the source was empty was wrong: always ask the kernel */
    bool cut;          /* the source was cut: FLOW_CLOSE ends with a reset, not with close_notify */
    bool mark_passed;  /* the urgent byte at the source's mark has been sent */
    bool sink_failed;  /* after an error of flow_pump(): the sink failed, not the source */
};

enum flow_result {
    FLOW_WAIT,  /* nothing more can be done now */
    FLOW_AGAIN, /* enough for one wake-up: call again after other sessions */
};

/* A flow without a rate limit has f->allowed = FLOW_UNLIMITED, as flow_init() sets it. To limit a
 * flow, set f->allowed before each flow_pump(), which subtracts the bytes that it takes. */
#define FLOW_UNLIMITED UINT64_MAX
void flow_init(struct flow *f, enum relay_direction direction);

/* Drops the bytes in the pipe. May be called twice. */
void flow_fini(struct flow *f, struct relay_stock *stock);

/* Moves bytes until it has to wait, or has done its share of this wake-up. Returns a flow_result;
 * or -errno if an end has failed (f->sink_failed: which one). When the source has ended and
 * everything is delivered, the state is FLOW_DONE, and the caller must pass FIN on. -ECONNRESET in
 * FLOW_CLOSE: TLS of the source has ended without close_notify, and everything is delivered. */
int flow_pump(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);

/* Whether the flow must be pumped again after a while, without an event. */
static inline bool flow_is_closing(const struct flow *f)
{
    return f->state == FLOW_CLOSE;
}

/* Checks a guess. flow_pump() sometimes takes a source for empty without asking the kernel
 * (SIDE_GUESSED). A wrong guess is repaired by the next event of the source, if there is one. Until
 * then the caller must call this every few ms; the second call asks the kernel. Returns true if
 * bytes were left: then the caller must pump the flow, which does not guess again. */
bool flow_confirm(struct flow *f, struct side *src);

#endif
