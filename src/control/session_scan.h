/* Visits every session of every worker on the worker's own thread, some at each wake-up, and then
 * tells the control thread that all have been visited. So nobody waits for anybody, and a worker
 * with thousands of sessions relays on in between. */
#ifndef ZPROXY_CONTROL_SESSION_SCAN_H
#define ZPROXY_CONTROL_SESSION_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "control/mailbox.h"
#include "control/workers.h"
#include "session/session.h"

/* Where the control thread is told. */
struct scan_replies {
    struct mailbox mailbox;
    uv_async_t wakeup;
    size_t under_way; /* surveys whose done is still to be called */
    bool open;
};

struct session_scan_part;

/* Embedded by whoever begins it, who keeps it until done is called. */
struct session_scan {
    /* On a worker's thread: part numbers the workers from 0; nobody else visits with that number.
     * Returns false when the worker need not go on. It may end the session. */
    bool (*visit)(struct session_scan *scan, size_t part, struct session *s);
    /* On the control thread. */
    void (*done)(struct session_scan *scan);

    struct scan_replies *scan_replies;
    struct session_scan_part *part;
    size_t left; /* parts that are not over */
};

/* Returns 0 or -errno. */
int scan_replies_open(struct scan_replies *scan_replies, uv_loop_t *loop);
/* All workers have been joined: calls done for every survey that is under way, and for those that
 * begin meanwhile. A desk that was never opened is allowed. */
void scan_replies_drain(struct scan_replies *scan_replies);
/* All workers have been joined, and the loop is closed: what is over is told. */
void scan_replies_fini(struct scan_replies *scan_replies);

/* How many parts a survey that begins now has. */
size_t session_scan_parts(const struct workers *workers);

/* visit and done are set by the caller. Returns 0; or -ENOMEM, or -ECANCELED at the end of the
 * process, and done will not be called. Otherwise it will be, never before this returns. */
int session_scan_start(struct session_scan *scan, struct scan_replies *scan_replies,
                       struct workers *workers);

#endif
