/* Visits every session of every worker, on the worker's own thread, and then calls the control
 * thread back. A worker visits a limited number of sessions in one wake-up and relays in between.
 * Neither thread blocks. */
#ifndef ZPROXY_CONTROL_SESSION_SCAN_H
#define ZPROXY_CONTROL_SESSION_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <uv.h>

#include "control/mailbox.h"
#include "control/workers.h"
#include "session/session.h"

/* The mailbox of the control thread in which parts of scans come back. */
struct scan_replies {
    struct mailbox mailbox;
    uv_async_t wakeup;
    size_t under_way; /* scans whose done has not been called */
    bool open;
};

struct session_scan_part;

/* Embedded in an object of the caller, who must keep it until done is called. */
struct session_scan {
    /* Called for each session, on the thread of its worker; may close the session. part: the number
     * of the worker, from 0; only that worker's thread uses it. Returns false to end the part. */
    bool (*visit)(struct session_scan *scan, size_t part, struct session *s);
    /* Called on the control thread when all parts have ended. */
    void (*done)(struct session_scan *scan);

    struct scan_replies *scan_replies;
    struct session_scan_part *part;
    size_t left; /* parts that have not ended */
};

/* Returns 0 or -errno. */
int scan_replies_open(struct scan_replies *scan_replies, uv_loop_t *loop);
/* Must be called when all workers are joined. Calls done for every running scan, and for those that
 * a done starts. Without scan_replies_open() it does nothing. */
void scan_replies_drain(struct scan_replies *scan_replies);
/* Must be called when all workers are joined and the loop is closed. Calls done as above; no scan
 * can start any more. */
void scan_replies_fini(struct scan_replies *scan_replies);

/* The number of parts of a scan that starts now. */
size_t session_scan_parts(const struct workers *workers);

/* Starts a scan; the caller has set visit and done. Returns 0, and calls done later; or -ENOMEM, or
 * -ECANCELED at the end of the process: then done is not called. */
int session_scan_start(struct session_scan *scan, struct scan_replies *scan_replies,
                       struct workers *workers);

#endif
