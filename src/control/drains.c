#include "control/drains.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/closing.h"

#define TICK_MS 100

struct drain {
    LIST_ENTRY(drain) in_all;
    LIST_ENTRY(drain) in_list; /* of its server's */
    struct drains *home;
    char *pool; /* its name: the pool, and the server, may go before the drain is over */
    uint32_t server;
    struct drain_course course;
    bool busy; /* sessions are being looked for, or closed: the next tick waits */
    bool cancelled;
};

/* A session of the server. */
struct candidate {
    uint64_t active;
    uint64_t id;
};

/* Who has been silent longest. */
struct search {
    struct survey survey;
    struct drain *drain;
    uint32_t server;
    uint64_t wanted;
    struct search_part {
        struct candidate *candidate;
        size_t count;
        size_t room;
    } * part;
    size_t parts;
};

static uint64_t now_of(const struct drains *ds)
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

/* ---- looking for them, on the workers' threads ---- */

/* Without memory for it, one is not found. */
static void add_candidate(struct search_part *p, const struct session *s)
{
    if (p->count == p->room) {
        size_t room = 2 * p->room + 64;
        struct candidate *more = realloc(p->candidate, room * sizeof *more);
        if (more == NULL)
            return;
        p->candidate = more;
        p->room = room;
    }
    p->candidate[p->count++] = (struct candidate){ s->active, s->id };
}

static bool visit(struct survey *sv, size_t part, struct session *s)
{
    struct search *f = (struct search *)sv; /* its first member */
    if (s->backend != NULL && s->backend->serial == f->server)
        add_candidate(&f->part[part], s);
    return true;
}

/* ---- on the control thread ---- */

static int by_silence(const void *a, const void *b)
{
    const struct candidate *left = a;
    const struct candidate *right = b;
    if (left->active != right->active)
        return left->active < right->active ? -1 : 1;
    return left->id < right->id ? -1 : left->id > right->id;
}

static int by_number(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static void search_free(struct search *f)
{
    for (size_t i = 0; i < f->parts; i++)
        free(f->part[i].candidate);
    free(f->part);
    free(f);
}

static struct candidate *merge(const struct search *f, size_t *count)
{
    size_t total = 0;
    for (size_t i = 0; i < f->parts; i++)
        total += f->part[i].count;
    struct candidate *all = calloc(total + 1, sizeof *all);
    *count = 0;
    for (size_t i = 0; i < f->parts && all != NULL; i++)
        for (size_t j = 0; j < f->part[i].count; j++)
            all[(*count)++] = f->part[i].candidate[j];
    if (all != NULL)
        qsort(all, *count, sizeof *all, by_silence);
    return all;
}

static void on_closed(void *arg, uint64_t closed)
{
    struct drain *d = arg;
    d->course.closed += closed;
    d->busy = false;
    if (d->cancelled)
        drain_free(d);
}

static int close_first(struct drain *d, const struct candidate *all, size_t count)
{
    uint64_t *id = calloc(count + 1, sizeof *id);
    if (id == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        id[i] = all[i].id;
    qsort(id, count, sizeof *id, by_number);
    const struct closing_order order = { .id = id, .ids = count, .done = on_closed, .arg = d };
    int rc = closing_begin(d->home->desk, d->home->crew, &order);
    free(id);
    return rc;
}

/* What fails here is tried again with the next tick. */
static void on_found(struct survey *sv)
{
    struct search *f = (struct search *)sv;
    struct drain *d = f->drain;
    size_t count = 0;
    struct candidate *all = merge(f, &count);
    count = count < f->wanted ? count : f->wanted;
    if (d->cancelled || count == 0 || all == NULL || close_first(d, all, count) < 0)
        on_closed(d, 0);
    free(all);
    search_free(f);
}

static void look_for(struct drain *d, uint64_t wanted)
{
    struct search *f = calloc(1, sizeof *f);
    if (f == NULL)
        return;
    f->drain = d;
    f->server = d->server;
    f->wanted = wanted;
    f->parts = survey_parts(d->home->crew);
    f->part = calloc(f->parts + 1, sizeof *f->part);
    f->survey.visit = visit;
    f->survey.done = on_found;
    if (f->part == NULL)
        f->parts = 0;
    if (f->part != NULL && survey_begin(&f->survey, d->home->desk, d->home->crew) == 0)
        d->busy = true;
    else
        search_free(f);
}

/* NULL: it is no longer there. */
static const struct backend *server_of(const struct drain *d)
{
    const struct pool *p = pools_find(d->home->pools, d->pool);
    size_t count = 0;
    struct backend *const *server = p == NULL ? NULL : pool_servers(p, &count);
    for (size_t i = 0; i < count; i++)
        if (server[i]->serial == d->server)
            return server[i];
    return NULL;
}

/* How many sessions there may still be. */
static uint64_t allowed(const struct drain_course *c, uint64_t now)
{
    uint64_t passed = now - c->began;
    if (passed >= c->length)
        return 0;
    return c->sessions - (uint64_t)((double)c->sessions * (double)passed / (double)c->length);
}

/* Returns false when the drain is over. */
static bool go_on(struct drain *d, uint64_t now)
{
    const struct backend *b = server_of(d);
    if (b == NULL)
        return false;
    uint64_t active = backend_active(b);
    uint64_t most = allowed(&d->course, now);
    if (active > most)
        look_for(d, active - most);
    return active > 0;
}

static void on_tick(uv_timer_t *timer)
{
    struct drains *ds = timer->data;
    struct drain *d = LIST_FIRST(&ds->all);
    while (d != NULL) {
        struct drain *next = LIST_NEXT(d, in_all);
        if (!d->busy && !go_on(d, now_of(ds)))
            drain_free(d);
        d = next;
    }
    if (LIST_EMPTY(&ds->all))
        uv_timer_stop(timer);
}

/* ---- begin and end ---- */

void drains_init(struct drains *ds, uv_loop_t *loop, struct survey_desk *desk, struct crew *crew,
                 const struct pools *pools)
{
    LIST_INIT(&ds->all);
    for (size_t i = 0; i < DRAIN_LISTS; i++)
        LIST_INIT(&ds->by_server[i]);
    ds->desk = desk;
    ds->crew = crew;
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

static struct drain *find(const struct drains *ds, const struct backend *b)
{
    struct drain *d;
    LIST_FOREACH(d, &ds->by_server[b->serial % DRAIN_LISTS], in_list)
        if (d->server == b->serial && !d->cancelled)
            return d;
    return NULL;
}

void drains_cancel(struct drains *ds, const struct backend *b)
{
    struct drain *d = find(ds, b);
    if (d == NULL)
        return;
    d->cancelled = true;
    if (!d->busy)
        drain_free(d);
}

int drains_resume(struct drains *ds, const struct pool *p, const struct backend *b,
                  const struct drain_course *course)
{
    struct drain *d = calloc(1, sizeof *d);
    if (d == NULL || (d->pool = strdup(pool_name(p))) == NULL) {
        free(d);
        return -ENOMEM;
    }
    drains_cancel(ds, b);
    d->home = ds;
    d->server = b->serial;
    d->course = *course;
    LIST_INSERT_HEAD(&ds->all, d, in_all);
    LIST_INSERT_HEAD(&ds->by_server[d->server % DRAIN_LISTS], d, in_list);
    uv_timer_start(&ds->tick, on_tick, TICK_MS, TICK_MS);
    return 0;
}

int drains_begin(struct drains *ds, const struct pool *p, const struct backend *b, uint64_t over)
{
    const struct drain_course course = {
        .began = now_of(ds),
        .length = over,
        .sessions = backend_active(b),
    };
    return drains_resume(ds, p, b, &course);
}

bool drains_progress(const struct drains *ds, const struct backend *b, struct drain_course *course,
                     uint64_t *left)
{
    const struct drain *d = find(ds, b);
    if (d == NULL)
        return false;
    uint64_t passed = now_of(ds) - d->course.began;
    *course = d->course;
    *left = passed < course->length ? course->length - passed : 0;
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
