#include "control/session_scan.h"

#include <errno.h>
#include <stdlib.h>

#include "session/session_iter.h"

#define VISITS_PER_WAKEUP 256 /* sessions visited in one wake-up of a worker */

struct session_scan_part {
    struct worker_message worker_message; /* to the worker, and back as the reply */
    struct session_scan *session_scan;
    struct session_iter session_iter;
    bool begun;
};

/* ---- on a worker's thread ---- */

/* Returns whether sessions are left. */
static bool session_scan_visit_slice(struct session_scan_part *p, struct worker *w)
{
    struct session_scan *scan = p->session_scan;
    size_t number = (size_t)(p - scan->part);
    if (!p->begun)
        session_iter_init(&p->session_iter, worker_sessions(w));
    p->begun = true;
    for (int n = 0; n < VISITS_PER_WAKEUP; n++) {
        struct session *s = session_iter_next(&p->session_iter);
        if (s == NULL || !scan->visit(scan, number, s)) {
            session_iter_fini(&p->session_iter);
            return false;
        }
    }
    return true;
}

static void session_scan_on_reply(struct worker_message *l, void *owner);

static void on_worker(struct worker_message *l, void *owner)
{
    struct session_scan_part *p = (struct session_scan_part *)l; /* its first member */
    struct scan_replies *scan_replies = p->session_scan->scan_replies;
    while (session_scan_visit_slice(p, owner))
        if (worker_post(owner, l)) /* else the worker is ending: it has no sessions any more */
            return;
    l->run = session_scan_on_reply;
    mailbox_post(&scan_replies->mailbox, l); /* from here on control may free it */
}

/* ---- on the control thread ---- */

static void session_scan_part_done(struct session_scan *scan)
{
    if (--scan->left > 0)
        return;
    scan->scan_replies->under_way--;
    free(scan->part);
    scan->done(scan);
}

static void session_scan_on_reply(struct worker_message *l, void *owner)
{
    (void)owner;
    session_scan_part_done(((struct session_scan_part *)l)->session_scan);
}

static void session_scan_on_wakeup(uv_async_t *async)
{
    struct scan_replies *scan_replies = async->data;
    mailbox_run(&scan_replies->mailbox, NULL);
}

/* Called from a worker's thread. */
static void session_scan_on_posted(void *arg)
{
    struct scan_replies *scan_replies = arg;
    uv_async_send(&scan_replies->wakeup);
}

int scan_replies_open(struct scan_replies *scan_replies, uv_loop_t *loop)
{
    int rc = uv_async_init(loop, &scan_replies->wakeup, session_scan_on_wakeup);
    if (rc < 0)
        return rc;
    mailbox_init(&scan_replies->mailbox, session_scan_on_posted, scan_replies);
    scan_replies->wakeup.data = scan_replies;
    scan_replies->open = true;
    return 0;
}

void scan_replies_drain(struct scan_replies *scan_replies)
{
    while (scan_replies->open && scan_replies->under_way > 0)
        mailbox_run(&scan_replies->mailbox, NULL);
}

void scan_replies_fini(struct scan_replies *scan_replies)
{
    if (!scan_replies->open)
        return;
    scan_replies->open = false;
    mailbox_close(&scan_replies->mailbox, NULL);
    mailbox_fini(&scan_replies->mailbox);
}

size_t session_scan_parts(const struct workers *workers)
{
    return workers_running(workers);
}

/* Ends a part that no worker visits, by a reply, so that done is not called before
 * session_scan_start() returns. */
static void session_scan_skip(struct session_scan_part *p)
{
    p->worker_message.run = session_scan_on_reply;
    mailbox_post(&p->session_scan->scan_replies->mailbox, &p->worker_message);
}

/* A scan has one part more than there are workers. No worker has it, so a scan ends also if there
 * are no workers or all have finished. */
int session_scan_start(struct session_scan *scan, struct scan_replies *scan_replies,
                       struct workers *workers)
{
    if (!scan_replies->open)
        return -ECANCELED;
    size_t worker_count = session_scan_parts(workers);
    scan->scan_replies = scan_replies;
    scan->left = worker_count + 1;
    scan->part = calloc(scan->left, sizeof *scan->part);
    if (scan->part == NULL)
        return -ENOMEM;
    scan_replies->under_way++;
    for (size_t i = 0; i <= worker_count; i++) {
        struct session_scan_part *p = &scan->part[i];
        p->session_scan = scan;
        p->worker_message.run = on_worker;
        if (i == worker_count || !worker_post(workers_at(workers, i), &p->worker_message))
            session_scan_skip(p);
    }
    return 0;
}
