#include "control/census.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* What a worker has told. */
struct census_part {
    struct census_row *row;
    size_t count;
    size_t room;
};

struct census {
    struct survey survey;
    TAILQ_ENTRY(census) in_queue;
    struct censuses *home;
    bool busiest;
    size_t limit;
    census_done_fn *done;
    void *arg;
    struct census_part *part;
    size_t parts;
    _Atomic uint64_t total;
    _Atomic bool exhausted;
};

struct census_memory {
    uint64_t id;
    uint64_t bytes;
};

void censuses_init(struct censuses *cs, struct survey_desk *desk, struct crew *crew)
{
    memset(cs, 0, sizeof *cs);
    cs->desk = desk;
    cs->crew = crew;
    TAILQ_INIT(&cs->waiting);
}

void censuses_fini(struct censuses *cs)
{
    free(cs->last);
}

/* ---- on the workers' threads ---- */

static bool make_room(struct census_part *p)
{
    if (p->count < p->room)
        return true;
    size_t room = 2 * p->room + 256;
    struct census_row *row = realloc(p->row, room * sizeof *row);
    if (row == NULL)
        return false;
    p->row = row;
    p->room = room;
    return true;
}

static bool visit(struct survey *sv, size_t part, struct session *s)
{
    struct census *c = (struct census *)sv; /* its first member */
    struct census_part *p = &c->part[part];
    if (atomic_fetch_add(&c->total, 1) >= CENSUS_MAX)
        return false;
    if (!make_room(p)) {
        atomic_store(&c->exhausted, true);
        return false;
    }
    p->row[p->count].rate = 0;
    session_brief(s, &p->row[p->count++].brief);
    return true;
}

/* ---- on the control thread ---- */

static int by_id(const void *a, const void *b)
{
    uint64_t left = ((const struct census_row *)a)->brief.id;
    uint64_t right = ((const struct census_row *)b)->brief.id;
    return left < right ? -1 : left > right;
}

static int by_rate(const void *a, const void *b)
{
    const struct census_row *left = a;
    const struct census_row *right = b;
    if (left->rate != right->rate)
        return left->rate > right->rate ? -1 : 1;
    return by_id(a, b);
}

static uint64_t bytes_of(const struct census_row *r)
{
    return r->brief.up + r->brief.down;
}

/* Less than a tick of the clock counts as one: the order among them is what matters then. */
static uint64_t per_second(uint64_t bytes, uint64_t ms)
{
    return (uint64_t)((double)bytes * 1000 / (double)(ms == 0 ? 1 : ms));
}

/* A few bytes in the first moments are no stream: what a session younger than a second has moved is
 * that of a second. */
static uint64_t life_of(const struct census_row *r)
{
    return r->brief.age < 1000 ? 1000 : r->brief.age;
}

/* Both are sorted by id. */
static void compute_rates(const struct censuses *cs, struct census_row *row, size_t count,
                          uint64_t now)
{
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < cs->last_count && cs->last[at].id < row[i].brief.id)
            at++;
        bool known = at < cs->last_count && cs->last[at].id == row[i].brief.id;
        uint64_t before = known ? cs->last[at].bytes : 0;
        uint64_t bytes = bytes_of(&row[i]);
        row[i].rate = per_second(bytes > before ? bytes - before : 0,
                                 known ? now - cs->last_time : life_of(&row[i]));
    }
}

/* Without memory the next rates are those of whole lives. */
static void remember(struct censuses *cs, const struct census_row *row, size_t count, uint64_t now)
{
    free(cs->last);
    cs->last = calloc(count + 1, sizeof *cs->last);
    cs->last_count = cs->last == NULL ? 0 : count;
    cs->last_time = now;
    for (size_t i = 0; i < cs->last_count; i++)
        cs->last[i] = (struct census_memory){ row[i].brief.id, bytes_of(&row[i]) };
}

static struct census_row *merge(const struct census *c, size_t *count)
{
    struct census_row *all = NULL;
    size_t total = 0;
    for (size_t i = 0; i < c->parts; i++)
        total += c->part[i].count;
    *count = 0;
    if (!atomic_load(&c->exhausted))
        all = malloc((total + 1) * sizeof *all);
    for (size_t i = 0; i < c->parts && all != NULL; i++) {
        if (c->part[i].count > 0)
            memcpy(all + *count, c->part[i].row, c->part[i].count * sizeof *all);
        *count += c->part[i].count;
    }
    return all;
}

static void tell(const struct census *c, uint64_t now)
{
    size_t count = 0;
    struct census_row *row = merge(c, &count);
    if (row != NULL)
        qsort(row, count, sizeof *row, by_id);
    if (row != NULL && c->busiest) {
        compute_rates(c->home, row, count, now);
        remember(c->home, row, count, now);
        qsort(row, count, sizeof *row, by_rate);
        count = count < c->limit ? count : c->limit;
    }
    c->done(c->arg, row, count);
    free(row);
}

static void census_free(struct census *c)
{
    for (size_t i = 0; i < c->parts; i++)
        free(c->part[i].row);
    free(c->part);
    free(c);
}

static void on_done(struct survey *sv);

static int begin(struct census *c)
{
    c->parts = survey_parts(c->home->crew);
    c->part = calloc(c->parts + 1, sizeof *c->part);
    c->survey.visit = visit;
    c->survey.done = on_done;
    if (c->part == NULL)
        c->parts = 0;
    return c->part == NULL ? -ENOMEM : survey_begin(&c->survey, c->home->desk, c->home->crew);
}

/* Those whose turn cannot begin are told so. */
static void begin_next(struct censuses *cs)
{
    struct census *c;
    while ((c = TAILQ_FIRST(&cs->waiting)) != NULL && begin(c) < 0) {
        TAILQ_REMOVE(&cs->waiting, c, in_queue);
        c->done(c->arg, NULL, 0);
        census_free(c);
    }
}

static void on_done(struct survey *sv)
{
    struct census *c = (struct census *)sv;
    struct censuses *cs = c->home;
    TAILQ_REMOVE(&cs->waiting, c, in_queue);
    tell(c, uv_now(cs->desk->arrived.loop));
    census_free(c);
    begin_next(cs);
}

int census_begin(struct censuses *cs, bool busiest, size_t limit, census_done_fn *done, void *arg)
{
    struct census *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->home = cs;
    c->busiest = busiest;
    c->limit = limit;
    c->done = done;
    c->arg = arg;
    if (TAILQ_EMPTY(&cs->waiting) && begin(c) < 0) {
        census_free(c);
        return -ENOMEM;
    }
    TAILQ_INSERT_TAIL(&cs->waiting, c, in_queue);
    return 0;
}
