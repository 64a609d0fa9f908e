#include "metrics/history.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void history_init(struct history *h)
{
    memset(h, 0, sizeof *h);
    TAILQ_INIT(&h->pools);
}

static void history_remove_pool(struct history *h, struct history_pool *p)
{
    TAILQ_REMOVE(&h->pools, p, in_history);
    h->count--;
    free(p->name);
    free(p);
}

void history_fini(struct history *h)
{
    struct history_pool *p = TAILQ_FIRST(&h->pools);
    while (p != NULL) {
        struct history_pool *next = TAILQ_NEXT(p, in_history);
        history_remove_pool(h, p);
        p = next;
    }
}

int history_copy(const struct history *h, struct history *copy)
{
    const struct history_pool *p;
    history_init(copy);
    TAILQ_FOREACH(p, &h->pools, in_history) {
        struct history_pool *q = malloc(sizeof *q);
        if (q == NULL)
            return -ENOMEM;
        *q = *p;
        q->name = strdup(p->name);
        TAILQ_INSERT_TAIL(&copy->pools, q, in_history);
        copy->count++;
        if (q->name == NULL)
            return -ENOMEM;
    }
    copy->steps = h->steps;
    copy->last = h->last;
    return 0;
}

static struct history_pool *history_find_pool(const struct history *h, const char *name)
{
    struct history_pool *p;
    TAILQ_FOREACH(p, &h->pools, in_history)
        if (strcmp(p->name, name) == 0)
            return p;
    return NULL;
}

/* Returns NULL when out of memory, or if HISTORY_POOLS pools have a history. */
static struct history_pool *history_add_pool(struct history *h, const char *name,
                                             const struct snapshot_sums *now)
{
    if (h->count >= HISTORY_POOLS)
        return NULL;
    struct history_pool *p = calloc(1, sizeof *p);
    if (p == NULL || (p->name = strdup(name)) == NULL) {
        free(p);
        return NULL;
    }
    p->last = *now;
    TAILQ_INSERT_TAIL(&h->pools, p, in_history);
    h->count++;
    return p;
}

/* Returns 0 if the sum has decreased: a removed server takes its counters out of the sum. */
static float history_per_second(uint64_t now, uint64_t before, double seconds)
{
    return now > before && seconds > 0 ? (float)((double)(now - before) / seconds) : 0;
}

static void record(struct history_pool *p, const struct snapshot_sums *now, uint64_t step,
                   double seconds)
{
    const struct snapshot_sums *last = &p->last;
    p->point[step % HISTORY_STEPS] = (struct history_point){
        .up = history_per_second(now->counter[SERVER_SENT], last->counter[SERVER_SENT], seconds),
        .down = history_per_second(now->counter[SERVER_RECEIVED], last->counter[SERVER_RECEIVED],
                                   seconds),
        .sessions = (float)now->sessions,
        .connections = history_per_second(now->counter[SERVER_CONNECTIONS],
                                          last->counter[SERVER_CONNECTIONS], seconds),
        .failures = history_per_second(now->counter[SERVER_FAILURES],
                                       last->counter[SERVER_FAILURES], seconds) +
                    history_per_second(now->failures, last->failures, seconds),
    };
    p->last = *now;
    p->seen = true;
}

void history_sample(struct history *h, const struct config *conf, const struct pools *pools,
                    uint64_t now)
{
    double seconds = (double)(now - h->last) / 1000;
    for (size_t i = 0; i < conf->pool_count; i++) {
        struct snapshot_sums sums;
        const char *name = conf->pool[i].name;
        struct history_pool *p = history_find_pool(h, name);
        if (p == NULL && h->count >= HISTORY_POOLS)
            continue;
        snapshot_sums(pools_find(pools, name), now, &sums);
        if (p == NULL)
            p = history_add_pool(h, name, &sums);
        if (p != NULL)
            record(p, &sums, h->steps, seconds);
    }
    struct history_pool *p = TAILQ_FIRST(&h->pools);
    while (p != NULL) {
        struct history_pool *next = TAILQ_NEXT(p, in_history);
        if (!p->seen)
            history_remove_pool(h, p);
        else
            p->seen = false;
        p = next;
    }
    h->steps++;
    h->last = now;
}

uint64_t history_first(const struct history *h, uint64_t since)
{
    uint64_t oldest = h->steps > HISTORY_STEPS ? h->steps - HISTORY_STEPS : 0;
    if (since > h->steps)
        since = h->steps;
    return since > oldest ? since : oldest;
}

const struct history_point *history_at(const struct history_pool *p, uint64_t step)
{
    return &p->point[step % HISTORY_STEPS];
}
