#include "control/drains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/session_kill.h"

#define TICK_MS 100

struct drain {
    LIST_ENTRY(drain) in_all;
    LIST_ENTRY(drain) in_list; /* of its server's serial */
    struct drains *owner;
    char *pool; /* its name: pool and server may be freed before the drain ends */
    uint32_t server;
    struct drain_progress progress;
    bool busy; /* a search for sessions, or their closing, is under way */
    bool cancelled;
};

/* A session of the server that is drained. */
struct drain_candidate {
    uint64_t active;
    uint64_t id;
};

/* The search for the sessions that have been idle longest. */
struct drain_search {
    struct session_scan session_scan;
    struct drain *drain;
    uint32_t server;
    uint64_t wanted;
    struct drain_search_part {
        struct drain_candidate *drain_candidate;
        size_t count;
        size_t room;
    } * part;
    size_t parts;
};

static uint64_t drains_now(const struct drains *ds)
{
    return uv_now(ds->tick.loop);
}

static void drain_free(struct drain *d)
{
    LIST_REMOVE(d, in_all);
    LIST_REMOVE(d, in_list);
    free(d->pool);
    free(d);
}

/* ---- the search, on the workers' threads ---- */

/* Without memory the session is skipped. */
static void add_candidate(struct drain_search_part *p, const struct session *s)
{
    if (p->count == p->room) {
        size_t room = 2 * p->room + 64;
        struct drain_candidate *more = realloc(p->drain_candidate, room * sizeof *more);
        if (more == NULL)
            return;
        p->drain_candidate = more;
        p->room = room;
    }
    p->drain_candidate[p->count++] = (struct drain_candidate){ s->active, s->id };
}

static bool drain_search_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct drain_search *f = (struct drain_search *)scan; /* its first member */
    if (s->target != NULL && s->target->serial == f->server)
        add_candidate(&f->part[part], s);
    return true;
}

/* ---- on the control thread ---- */

static int compare_idle(const void *a, const void *b)
{
    const struct drain_candidate *left = a;
    const struct drain_candidate *right = b;
    if (left->active != right->active)
        return left->active < right->active ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static int compare_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void drain_search_free(struct drain_search *f)
{
    for (size_t i = 0; i < f->parts; i++)
        free(f->part[i].drain_candidate);
    free(f->part);
    free(f);
}

static struct drain_candidate *drain_search_merge(const struct drain_search *f, size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < f->parts; i++)
        total += f->part[i].count;
    struct drain_candidate *all = calloc(total + 1, sizeof *all);
    *count = 0;
    for (size_t i = 0; i < f->parts && all != NULL; i++)
        for (size_t j = 0; j < f->part[i].count; j++)
            all[(*count)++] = f->part[i].drain_candidate[j];
    if (all != NULL)
        qsort(all, *count, sizeof *all, compare_idle);
    return all;
}

static void drain_on_killed(void *arg, uint64_t closed)
{
    struct drain *d = arg;
    d->progress.closed += closed;
    d->busy = false;
    if (d->cancelled)
        drain_free(d);
}

static int kill_first(struct drain *d, const struct drain_candidate *all, size_t count)
{
    uint64_t *id = calloc(count + 1, sizeof *id);
    if (id == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        id[i] = all[i].id;
    qsort(id, count, sizeof *id, compare_number);
    const struct session_kill_request request = {
        .id = id, .ids = count, .done = drain_on_killed, .arg = d
    };
    int rc = session_kill_start(d->owner->scan_replies, d->owner->workers, &request);
    free(id);
    return rc;
}

/* After a failure the next tick tries again. */
static void on_found(struct session_scan *scan)
{
    struct drain_search *f = (struct drain_search *)scan;
    struct drain *d = f->drain;
    size_t count = 0;
    struct drain_candidate *all = drain_search_merge(f, &count);
    count = count < f->wanted ? count : f->wanted;
    if (d->cancelled || count == 0 || all == NULL || kill_first(d, all, count) < 0)
        drain_on_killed(d, 0);
    free(all);
    drain_search_free(f);
}

static void drain_search_start(struct drain *d, uint64_t wanted)
{
    struct drain_search *f = calloc(1, sizeof *f);
    if (f == NULL)
        return;
    f->drain = d;
    f->server = d->server;
    f->wanted = wanted;
    f->parts = session_scan_parts(d->owner->workers);
    f->part = calloc(f->parts + 1, sizeof *f->part);
    f->session_scan.visit = drain_search_visit;
    f->session_scan.done = on_found;
    if (f->part == NULL)
        f->parts = 0;
    if (f->part != NULL &&
        session_scan_start(&f->session_scan, d->owner->scan_replies, d->owner->workers) == 0)
        d->busy = true;
    else
        drain_search_free(f);
}

/* NULL: the server is no longer in the pool. */
static const struct server *server_of(const struct drain *d)
{
    const struct pool *p = pools_find(d->owner->pools, d->pool);
    size_t count = 0;
    struct server *const *server = p == NULL ? NULL : pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        if (server[i]->serial == d->server)
            return server[i];
    return NULL;
}

/* The number of sessions that may be left at this time. */
static uint64_t sessions_allowed(const struct drain_progress *c, uint64_t now)
{
    uint64_t elapsed = now - c->began;
    if (elapsed >= c->length)
        return 0;
    return c->sessions - (uint64_t)((double)c->sessions * (double)elapsed / (double)c->length);
}

/* Returns false when the drain has ended. */
static bool drain_continue(struct drain *d, uint64_t now)
{
    const struct server *srv = server_of(d);
    if (srv == NULL)
        return false;
    uint64_t active = server_active(srv);
    uint64_t most = sessions_allowed(&d->progress, now);
    if (active > most)
        drain_search_start(d, active - most);
    return active > 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct drains *ds = timer->data;
    struct drain *d = LIST_FIRST(&ds->all);
    while (d != NULL) {
        struct drain *next = LIST_NEXT(d, in_all);
        if (!d->busy && !drain_continue(d, drains_now(ds)))
            drain_free(d);
        d = next;
    }
    if (LIST_EMPTY(&ds->all))
        uv_timer_stop(timer);
}

/* ---- start and end ---- */

void drains_init(struct drains *ds, uv_loop_t *loop, struct scan_replies *scan_replies,
                 struct workers *workers, const struct pools *pools)
{
    LIST_INIT(&ds->all);
    for (size_t i = 0; i < DRAIN_LISTS; i++)
        LIST_INIT(&ds->by_server[i]);
    ds->scan_replies = scan_replies;
    ds->workers = workers;
    ds->pools = pools;
    uv_timer_init(loop, &ds->tick);
    ds->tick.data = ds;
}

void drains_fini(struct drains *ds)
{
    struct drain *d = LIST_FIRST(&ds->all);
    while (d != NULL) {
        struct drain *next = LIST_NEXT(d, in_all);
        drain_free(d);
        d = next;
    }
}

static struct drain *drains_find(const struct drains *ds, const struct server *srv)
{
    struct drain *d;
    LIST_FOREACH(d, &ds->by_server[srv->serial % DRAIN_LISTS], in_list)
        if (d->server == srv->serial && !d->cancelled)
            return d;
    return NULL;
}

bool drains_cancel(struct drains *ds, const struct server *srv)
{
    struct drain *d = drains_find(ds, srv);
    if (d == NULL)
        return false;
    d->cancelled = true;
    if (!d->busy)
        drain_free(d);
    return true;
}

int drains_resume(struct drains *ds, const struct pool *p, const struct server *srv,
                  const struct drain_progress *progress)
{
    struct drain *d = calloc(1, sizeof *d);
    if (d == NULL || (d->pool = strdup(pool_name(p))) == NULL) {
        free(d);
        return -ENOMEM;
    }
    drains_cancel(ds, srv);
    d->owner = ds;
    d->server = srv->serial;
    d->progress = *progress;
    LIST_INSERT_HEAD(&ds->all, d, in_all);
    LIST_INSERT_HEAD(&ds->by_server[d->server % DRAIN_LISTS], d, in_list);
    uv_timer_start(&ds->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

int drains_start(struct drains *ds, const struct pool *p, const struct server *srv, uint64_t over)
{
    const struct drain_progress progress = {
        .began = drains_now(ds),
        .length = over,
        .sessions = server_active(srv),
    };
    return drains_resume(ds, p, srv, &progress);
}

bool drains_progress(const struct drains *ds, const struct server *srv,
                     struct drain_progress *progress, uint64_t *left)
{
    const struct drain *d = drains_find(ds, srv);
    if (d == NULL)
        return false;
    uint64_t elapsed = drains_now(ds) - d->progress.began;
    *progress = d->progress;
    *left = elapsed < progress->length ? progress->length - elapsed : 0;
    return true;
}

size_t drains_count(const struct drains *ds)
{
    const struct drain *d;
    size_t count = 0;
    LIST_FOREACH(d, &ds->all, in_all)
        count += !d->cancelled;
    return count;
}
