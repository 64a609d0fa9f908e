#include "control/rebalance_wave.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "session/connect.h"
#include "session/session_close.h"
#include "session/session_timers.h"

struct rebalance_candidate {
    uint64_t active; /* when it last moved a byte */
    uint64_t id;
    uint32_t from; /* serial of its server */
    uint32_t to;   /* serial of the server that its key belongs to; 0: not by key */
};

/* A heap of the `most` candidates that have been silent longest. On top is the one that was active
 * last, which the next better candidate replaces. */
struct rebalance_heap {
    struct rebalance_candidate *candidate;
    size_t count;
    size_t room;
    uint64_t most;
};

/* The heaps of one worker: for each server with a quota, or one for all keys. */
struct rebalance_part {
    struct rebalance_heap *heap;
    uint64_t found;
    uint64_t strayed;
};

struct rebalance_wave {
    struct session_scan session_scan; /* the search, then the closing */
    struct scan_replies *scan_replies;
    struct workers *workers;
    struct rebalance_wave_request request;
    size_t heaps; /* in each part */
    struct rebalance_part *part;
    size_t parts;
    uint64_t *id; /* to be closed, sorted */
    size_t ids;
    _Atomic uint64_t met;    /* sessions of id[] that the second scan has found; relaxed */
    _Atomic uint64_t closed; /* relaxed: read after the scan, whose end is a message */
};

/* ---- the search, on the workers' threads ---- */

static bool is_more_silent(const struct rebalance_candidate *a, const struct rebalance_candidate *b)
{
    return a->active != b->active ? a->active < b->active : a->id < b->id;
}

static void sift_up(struct rebalance_heap *h, size_t at)
{
    struct rebalance_candidate c = h->candidate[at];
    while (at > 0 && is_more_silent(&h->candidate[(at - 1) / 2], &c)) {
        h->candidate[at] = h->candidate[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    h->candidate[at] = c;
}

static void sift_down(struct rebalance_heap *h)
{
    struct rebalance_candidate c = h->candidate[0];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < h->count && is_more_silent(&h->candidate[child], &h->candidate[child + 1]))
            child++;
        if (child >= h->count || !is_more_silent(&c, &h->candidate[child]))
            break;
        h->candidate[at] = h->candidate[child];
        at = child;
    }
    h->candidate[at] = c;
}

/* Returns false when out of memory: the caller leaves the candidate out. */
static bool rebalance_heap_grow(struct rebalance_heap *h)
{
    size_t room = 2 * h->room + 64;
    struct rebalance_candidate *more = realloc(h->candidate, room * sizeof *more);
    if (more == NULL)
        return false;
    h->candidate = more;
    h->room = room;
    return true;
}

static void rebalance_heap_add(struct rebalance_heap *h, const struct rebalance_candidate *c)
{
    if (h->count < h->most) {
        if (h->count == h->room && !rebalance_heap_grow(h))
            return;
        h->candidate[h->count] = *c;
        sift_up(h, h->count++);
    } else if (h->count > 0 && is_more_silent(c, &h->candidate[0])) {
        h->candidate[0] = *c;
        sift_down(h);
    }
}

static int compare_quotas(const void *a, const void *b)
{
    uint32_t left = ((const struct rebalance_quota *)a)->server;
    uint32_t right = ((const struct rebalance_quota *)b)->server;
    return left < right ? -1 : left > right;
}

static const struct rebalance_quota *quota_of(const struct rebalance_wave *w,
                                              const struct server *srv)
{
    const struct rebalance_quota key = { .server = srv->serial };
    return bsearch(&key, w->request.quota, w->request.quotas, sizeof key, compare_quotas);
}

/* A session that has ended in one direction ends soon, and its client may not come back. */
static bool may_move(const struct rebalance_wave *w, const struct session *s)
{
    return s->pool == w->request.pool && s->state == SESSION_RELAYING && !s->up_ended &&
           !s->down_ended;
}

/* The server that the session would get now, if that is another one; or NULL. */
static const struct server *better_server(struct session *s)
{
    enum pool_refusal refusal = POOL_NO_SERVER;
    const struct pick_request r = { .key = connect_key(s),
                                    .now = session_now(s),
                                    .holds = s->target };
    const struct server *srv = pool_peek(s->pool, &r, &refusal);
    return srv == s->target ? NULL : srv;
}

static bool rebalance_search_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct rebalance_wave *w = (struct rebalance_wave *)scan; /* its first member */
    struct rebalance_part *p = &w->part[part];
    struct rebalance_candidate c = { .active = s->active, .id = s->id };
    size_t heap = 0;
    if (!may_move(w, s))
        return true;
    if (w->request.by_key) {
        const struct server *to = better_server(s);
        if (to == NULL)
            return true;
        if (s->id > w->request.since) {
            p->strayed++;
            return true;
        }
        c.to = to->serial;
        p->found++;
    } else {
        const struct rebalance_quota *e = quota_of(w, s->target);
        if (e == NULL)
            return true;
        heap = (size_t)(e - w->request.quota);
    }
    c.from = s->target->serial;
    rebalance_heap_add(&p->heap[heap], &c);
    return true;
}

/* ---- the closing, on the workers' threads ---- */

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

/* Ends the scan when all sessions have been found. */
static bool rebalance_close_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct rebalance_wave *w = (struct rebalance_wave *)scan;
    (void)part;
    if (may_move(w, s) && bsearch(&s->id, w->id, w->ids, sizeof *w->id, compare_ids) != NULL) {
        atomic_fetch_add_explicit(&w->met, 1, memory_order_relaxed);
        bool moves = !w->request.by_key || better_server(s) != NULL;
        if (moves && server_leave_begin(s->target, w->request.by_key)) {
            session_close(s, SESSION_END_REBALANCE);
            atomic_fetch_add_explicit(&w->closed, 1, memory_order_relaxed);
        }
    }
    return atomic_load_explicit(&w->met, memory_order_relaxed) < w->ids;
}

/* ---- on the control thread ---- */

static void rebalance_wave_free(struct rebalance_wave *w)
{
    for (size_t i = 0; i < w->parts; i++) {
        for (size_t k = 0; w->part[i].heap != NULL && k < w->heaps; k++)
            free(w->part[i].heap[k].candidate);
        free(w->part[i].heap);
    }
    free(w->part);
    free(w->request.quota);
    free(w->id);
    free(w);
}

static void rebalance_wave_done(struct rebalance_wave *w)
{
    struct rebalance_wave_result result = {
        .closed = atomic_load_explicit(&w->closed, memory_order_relaxed),
    };
    for (size_t i = 0; i < w->parts; i++) {
        result.found += w->part[i].found;
        result.strayed += w->part[i].strayed;
    }
    w->request.done(w->request.arg, &result);
    rebalance_wave_free(w);
}

static void rebalance_on_closed(struct session_scan *scan)
{
    rebalance_wave_done((struct rebalance_wave *)scan);
}

static int compare_candidates(const void *a, const void *b)
{
    return is_more_silent(a, b) ? -1 : is_more_silent(b, a);
}

/* All candidates, most silent first. Returns NULL when out of memory. */
static struct rebalance_candidate *rebalance_wave_merge(const struct rebalance_wave *w,
                                                        size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < w->parts; i++)
        for (size_t k = 0; k < w->heaps; k++)
            total += w->part[i].heap[k].count;
    struct rebalance_candidate *all = calloc(total + 1, sizeof *all);
    *count = 0;
    for (size_t i = 0; i < w->parts && all != NULL; i++)
        for (size_t k = 0; k < w->heaps; k++) {
            const struct rebalance_heap *h = &w->part[i].heap[k];
            if (h->count > 0)
                memcpy(&all[*count], h->candidate, h->count * sizeof *all);
            *count += h->count;
        }
    if (all != NULL)
        qsort(all, *count, sizeof *all, compare_candidates);
    return all;
}

/* How many sessions may leave each server, or come to it by their keys. */
static struct rebalance_quota *rebalance_wave_rooms(const struct rebalance_wave *w, size_t *count)
{
    *count = w->request.quotas;
    struct rebalance_quota *room = calloc(*count + 1, sizeof *room);
    if (room != NULL && *count > 0)
        memcpy(room, w->request.quota, *count * sizeof *room);
    return room;
}

/* Selects what is closed. A server without an entry in the list has no limit. */
static void rebalance_wave_select(struct rebalance_wave *w, const struct rebalance_candidate *all,
                                  size_t count)
{
    size_t rooms = 0;
    struct rebalance_quota *room = rebalance_wave_rooms(w, &rooms);
    w->id = calloc(count + 1, sizeof *w->id);
    for (size_t i = 0; room != NULL && w->id != NULL && i < count && w->ids < w->request.wanted;
         i++) {
        const struct rebalance_quota key = { .server =
                                                 w->request.by_key ? all[i].to : all[i].from };
        struct rebalance_quota *e = bsearch(&key, room, rooms, sizeof key, compare_quotas);
        if (e != NULL && e->count == 0)
            continue;
        if (e != NULL)
            e->count--;
        w->id[w->ids++] = all[i].id;
    }
    free(room);
    if (w->id != NULL && w->ids > 0)
        qsort(w->id, w->ids, sizeof *w->id, compare_ids);
}

/* After a failure the next wave tries again. */
static void rebalance_on_found(struct session_scan *scan)
{
    struct rebalance_wave *w = (struct rebalance_wave *)scan;
    size_t count = 0;
    struct rebalance_candidate *all = rebalance_wave_merge(w, &count);
    if (all != NULL)
        rebalance_wave_select(w, all, count);
    free(all);
    w->session_scan.visit = rebalance_close_visit;
    w->session_scan.done = rebalance_on_closed;
    if (w->ids == 0 || session_scan_start(&w->session_scan, w->scan_replies, w->workers) < 0)
        rebalance_wave_done(w);
}

static uint64_t heap_limit(const struct rebalance_wave_request *r, size_t heap)
{
    return r->by_key || r->quota[heap].count > r->wanted ? r->wanted : r->quota[heap].count;
}

static int rebalance_wave_allocate(struct rebalance_wave *w)
{
    w->heaps = w->request.by_key ? 1 : w->request.quotas;
    w->part = calloc(w->parts + 1, sizeof *w->part);
    if (w->part == NULL) {
        w->parts = 0;
        return -ENOMEM;
    }
    for (size_t i = 0; i < w->parts; i++) {
        w->part[i].heap = calloc(w->heaps + 1, sizeof(struct rebalance_heap));
        if (w->part[i].heap == NULL)
            return -ENOMEM;
        for (size_t k = 0; k < w->heaps; k++)
            w->part[i].heap[k].most = heap_limit(&w->request, k);
    }
    return 0;
}

int rebalance_wave_start(struct scan_replies *scan_replies, struct workers *workers,
                         const struct rebalance_wave_request *request)
{
    struct rebalance_wave *w = calloc(1, sizeof *w);
    if (w == NULL) {
        free(request->quota);
        return -ENOMEM;
    }
    w->scan_replies = scan_replies;
    w->workers = workers;
    w->request = *request;
    if (request->quotas > 0)
        qsort(w->request.quota, request->quotas, sizeof *request->quota, compare_quotas);
    w->parts = session_scan_parts(workers);
    w->session_scan.visit = rebalance_search_visit;
    w->session_scan.done = rebalance_on_found;
    int rc = rebalance_wave_allocate(w);
    if (rc == 0)
        rc = session_scan_start(&w->session_scan, scan_replies, workers);
    if (rc < 0)
        rebalance_wave_free(w);
    return rc;
}

struct rebalance_quota *rebalance_wave_list_rooms(const struct pool *p, size_t *count)
{
    size_t servers = 0;
    struct server *const *server = pool_servers(p, &servers);
    struct rebalance_quota *room = calloc(servers + 1, sizeof *room);
    *count = 0;
    for (size_t i = 0; i < servers && room != NULL; i++) {
        uint64_t limit = atomic_load(&server[i]->max_connections);
        uint64_t active = server_active(server[i]);
        if (limit != 0)
            room[(*count)++] =
                (struct rebalance_quota){ server[i]->serial, limit > active ? limit - active : 0 };
    }
    return room;
}
