/* One direction of a session: bytes from a source through a pipe to a sink.
 *
 * Knows no event loop: it moves bytes until it has to wait, and what it waits for can be read from
 * its state and the sides' readiness. A flow holds a pipe only while bytes are in it, and no
 * payload in user space ever: where splice(2) cannot be used, bytes are peeked at, sent, and only
 * what was sent is taken from the source, so what the sink does not take stays in the kernel.
 */
#ifndef ZPROXY_RELAY_FLOW_H
#define ZPROXY_RELAY_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "relay/relay_stock.h"
#include "relay/side.h"

enum flow_state {
    FLOW_FILL,  /* pipe empty: waits for the source to be readable */
    FLOW_DRAIN, /* pipe loaded: waits for the sink to be writable */
    FLOW_DONE,  /* source ended, all delivered: waits for nothing */
};

struct flow {
    struct pipe *pipe; /* borrowed from the mover in FLOW_DRAIN, else NULL */
    uint64_t bytes;    /* delivered to the sink */
    uint64_t allowed;  /* bytes that may be taken from the source for now */
    uint8_t state;     /* enum flow_state */
    uint8_t direction; /* enum relay_direction */
    bool copy;         /* the kernel refuses to splice here: copy from now on */
    bool misguessed;   /* a guess that the source was empty was wrong: guess no more */
    bool mark_passed;  /* the urgent byte at the source's mark has been sent on */
    bool sink_failed;  /* after an error of flow_pump(): which end it was */
};

enum flow_result {
    FLOW_WAIT,  /* nothing more can be done now */
    FLOW_AGAIN, /* enough for one wake-up: call again when others have had their turn */
};

/* It may take as much as there is: FLOW_UNLIMITED. Whoever limits a flow sets f->allowed before
 * each flow_pump(), and finds there what it has left. */
#define FLOW_UNLIMITED UINT64_MAX
void flow_init(struct flow *f, enum relay_direction direction);

/* Drops what is in flight. May be called twice. */
void flow_fini(struct flow *f, struct relay_stock *stock);

/* Moves bytes until it has to wait, or has done its share of this wake-up. Returns a flow_result,
 * or -errno once an end has failed (f->sink_failed tells which). At the end of the stream, when
 * all is delivered, the state is FLOW_DONE: passing FIN on is the caller's. */
int flow_pump(struct flow *f, struct side *src, struct side *dst, struct relay_stock *stock);

/* Where flow_pump() took a source for empty without asking (SIDE_GUESSED), the next event of that
 * source proves it right, or makes up for it. Until then the caller calls this every few ms: the
 * second call asks. Returns whether bytes were left, and the flow, which guesses no more, is to be
 * pumped. */
bool flow_confirm(struct flow *f, struct side *src);

#endif
