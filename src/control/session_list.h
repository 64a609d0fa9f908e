/* What all sessions of the process are doing, gathered from the workers. For the control thread.
 *
 * One census is taken at a time, others wait for their turn, so that what they need is bounded
 * however many ask.
 */
#ifndef ZPROXY_CONTROL_SESSION_LIST_H
#define ZPROXY_CONTROL_SESSION_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/session_scan.h"
#include "control/workers.h"
#include "session/session_info.h"

#define SESSION_LIST_MAX 100000 /* sessions; more are not told of */

/* A session, and what it moved since the busiest were last asked for. */
struct session_list_row {
    struct session_info info;
    uint64_t
        rate; /* bytes a second; of its whole life, a second at least, when it was not there then */
};

/* By age, or the busiest first. Good during the call. NULL: out of memory. */
typedef void session_list_done_fn(void *arg, const struct session_list_row *row, size_t count);

struct session_list_request;
struct session_list_sample;
TAILQ_HEAD(session_list_queue, session_list_request);

struct session_lists {
    struct scan_replies *scan_replies;
    struct workers *workers;
    struct session_list_queue waiting; /* the first is being taken */
    struct session_list_sample *last;  /* what all had moved when the busiest were last asked for */
    size_t last_count;
    uint64_t last_time; /* ms, of the loop's clock */
};

void session_lists_init(struct session_lists *cs, struct scan_replies *scan_replies,
                        struct workers *workers);
/* The survey desk is gone: nothing is being taken any more. */
void session_lists_fini(struct session_lists *cs);

/* busiest: those that move most, and no more than limit. Returns 0, or -ENOMEM and done will not
 * be called; otherwise never before this returns. */
int session_list_start(struct session_lists *cs, bool busiest, size_t limit,
                       session_list_done_fn *done, void *arg);

#endif
