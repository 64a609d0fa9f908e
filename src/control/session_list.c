#include "control/session_list.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* The sessions of one worker. */
struct session_list_part {
    struct session_list_row *row;
    size_t count;
    size_t room;
};

struct session_list_request {
    struct session_scan session_scan;
    TAILQ_ENTRY(session_list_request) in_queue;
    struct session_lists *owner;
    bool busiest;
    size_t limit;
    session_list_done_fn *done;
    void *arg;
    struct session_list_part *part;
    size_t parts;
    _Atomic uint64_t total;
    _Atomic bool out_of_memory;
};

struct session_list_sample {
    uint64_t id;
    uint64_t bytes;
};

void session_lists_init(struct session_lists *lists, struct scan_replies *scan_replies,
                        struct workers *workers)
{
    memset(lists, 0, sizeof *lists);
    lists->scan_replies = scan_replies;
    lists->workers = workers;
    TAILQ_INIT(&lists->waiting);
}

void session_lists_fini(struct session_lists *lists)
{
    free(lists->last);
}

/* ---- on the workers' threads ---- */

static bool session_list_grow(struct session_list_part *p)
{
    if (p->count < p->room)
        return true;
    size_t room = 2 * p->room + 256;
    struct session_list_row *row = realloc(p->row, room * sizeof *row);
    if (row == NULL)
        return false;
    p->row = row;
    p->room = room;
    return true;
}

static bool session_list_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct session_list_request *c = (struct session_list_request *)scan; /* its first member */
    struct session_list_part *p = &c->part[part];
    if (atomic_fetch_add_explicit(&c->total, 1, memory_order_relaxed) >= SESSION_LIST_MAX)
        return false;
    if (!session_list_grow(p)) {
        atomic_store_explicit(&c->out_of_memory, true, memory_order_relaxed);
        return false;
    }
    p->row[p->count].rate = 0;
    session_info(s, &p->row[p->count++].info);
    return true;
}

/* ---- on the control thread ---- */

static int compare_id(const void *a, const void *b)
{
    uint64_t left = ((const struct session_list_row *)a)->info.id;
    uint64_t right = ((const struct session_list_row *)b)->info.id;
    return left < right ? -1 : left > right;
}

static int compare_rate(const void *a, const void *b)
{
    const struct session_list_row *left = a;
    const struct session_list_row *right = b;
    if (left->rate != right->rate)
        return left->rate > right->rate ? -1 : 1;
    return compare_id(a, b);
}

static uint64_t bytes_of(const struct session_list_row *r)
{
    return r->info.up + r->info.down;
}

/* Less than a ms counts as one: it keeps the order of the sessions. */
static uint64_t session_list_per_second(uint64_t bytes, uint64_t ms)
{
    return (uint64_t)((double)bytes * 1000 / (double)(ms == 0 ? 1 : ms));
}

/* For a session younger than a second the rate is over a second, so that a few bytes at its start
 * do not count as a high rate. */
static uint64_t rate_period(const struct session_list_row *r)
{
    return r->info.age < 1000 ? 1000 : r->info.age;
}

/* Rows and samples are sorted by id. */
static void compute_rates(const struct session_lists *lists, struct session_list_row *row,
                          size_t count, uint64_t now)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < lists->last_count && lists->last[at].id < row[i].info.id)
            at++;
        bool known = at < lists->last_count && lists->last[at].id == row[i].info.id;
        uint64_t before = known ? lists->last[at].bytes : 0;
        uint64_t bytes = bytes_of(&row[i]);
        row[i].rate =
            session_list_per_second(bytes > before ? bytes - before : 0,
                                    known ? now - lists->last_time : rate_period(&row[i]));
    }
}

/* Without memory the next rates are over the whole time of each session. */
static void save_samples(struct session_lists *lists, const struct session_list_row *row,
                         size_t count, uint64_t now)
{
    free(lists->last);
    lists->last = calloc(count + 1, sizeof *lists->last);
    lists->last_count = lists->last == NULL ? 0 : count;
    lists->last_time = now;
    for (size_t i = 0; i < lists->last_count; i++)
        lists->last[i] = (struct session_list_sample){ row[i].info.id, bytes_of(&row[i]) };
}

static struct session_list_row *session_list_merge(const struct session_list_request *c,
                                                   size_t *count)
{
    struct session_list_row *all = NULL;
    size_t total = 0;
    for (size_t i = 0; i < c->parts; i++)
        total += c->part[i].count;
    *count = 0;
    if (!atomic_load_explicit(&c->out_of_memory, memory_order_relaxed))
        all = malloc((total + 1) * sizeof *all);
    for (size_t i = 0; i < c->parts && all != NULL; i++) {
        if (c->part[i].count > 0)
            memcpy(all + *count, c->part[i].row, c->part[i].count * sizeof *all);
        *count += c->part[i].count;
    }
    return all;
}

static void session_list_report(const struct session_list_request *c, uint64_t now)
{
    size_t count = 0;
    struct session_list_row *row = session_list_merge(c, &count);
    if (row != NULL)
        qsort(row, count, sizeof *row, compare_id);
    if (row != NULL && c->busiest) {
        compute_rates(c->owner, row, count, now);
        save_samples(c->owner, row, count, now);
        qsort(row, count, sizeof *row, compare_rate);
        count = count < c->limit ? count : c->limit;
    }
    c->done(c->arg, row, count);
    free(row);
}

static void session_list_request_free(struct session_list_request *c)
{
    for (size_t i = 0; i < c->parts; i++)
        free(c->part[i].row);
    free(c->part);
    free(c);
}

static void session_list_on_done(struct session_scan *scan);

static int session_list_run(struct session_list_request *c)
{
    c->parts = session_scan_parts(c->owner->workers);
    c->part = calloc(c->parts + 1, sizeof *c->part);
    c->session_scan.visit = session_list_visit;
    c->session_scan.done = session_list_on_done;
    if (c->part == NULL)
        c->parts = 0;
    return c->part == NULL
               ? -ENOMEM
               : session_scan_start(&c->session_scan, c->owner->scan_replies, c->owner->workers);
}

/* Starts the next request. One that cannot be started is answered with NULL. */
static void begin_next(struct session_lists *lists)
{
    struct session_list_request *c;
    while ((c = TAILQ_FIRST(&lists->waiting)) != NULL && session_list_run(c) < 0) {
        TAILQ_REMOVE(&lists->waiting, c, in_queue);
        c->done(c->arg, NULL, 0);
        session_list_request_free(c);
    }
}

static void session_list_on_done(struct session_scan *scan)
{
    struct session_list_request *c = (struct session_list_request *)scan;
    struct session_lists *lists = c->owner;
    TAILQ_REMOVE(&lists->waiting, c, in_queue);
    session_list_report(c, uv_now(lists->scan_replies->wakeup.loop));
    session_list_request_free(c);
    begin_next(lists);
}

int session_list_start(struct session_lists *lists, bool busiest, size_t limit,
                       session_list_done_fn *done, void *arg)
{
    struct session_list_request *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->owner = lists;
    c->busiest = busiest;
    c->limit = limit;
    c->done = done;
    c->arg = arg;
    if (TAILQ_EMPTY(&lists->waiting) && session_list_run(c) < 0) {
        session_list_request_free(c);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&lists->waiting, c, in_queue);
    return 0;
}
