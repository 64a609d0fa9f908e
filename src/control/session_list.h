/* Lists of all sessions of the process, collected from the workers. For the control thread.
 *
 * One list is made at a time, and further requests wait, so that memory is bounded for any number
 * of requests.
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

#define SESSION_LIST_MAX 100000 /* sessions; further ones are left out */

struct session_list_row {
    struct session_info info;
    /* Bytes a second since the last list of the busiest sessions; of a session that was not in that
     * list, since its start, and over at least one second. */
    uint64_t rate;
};

/* The rows, sorted by age or by rate, are valid during the call. row NULL: out of memory. */
typedef void session_list_done_fn(void *arg, const struct session_list_row *row, size_t count);

struct session_list_request;
struct session_list_sample;
TAILQ_HEAD(session_list_queue, session_list_request);

struct session_lists {
    struct scan_replies *scan_replies;
    struct workers *workers;
    struct session_list_queue waiting; /* the first one is being made */
    struct session_list_sample *last;  /* bytes of each session at the last list of the busiest */
    size_t last_count;
    uint64_t last_time; /* ms of the loop */
};

void session_lists_init(struct session_lists *lists, struct scan_replies *scan_replies,
                        struct workers *workers);
/* Must be called after scan_replies_fini(). */
void session_lists_fini(struct session_lists *lists);

/* Lists all sessions; busiest: the `limit` sessions with the highest rates. Returns 0 and calls
 * done later; or -ENOMEM: then done is not called. */
int session_list_start(struct session_lists *lists, bool busiest, size_t limit,
                       session_list_done_fn *done, void *arg);

#endif
