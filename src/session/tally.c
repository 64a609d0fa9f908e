#include "session/tally.h"

#include <stdlib.h>

#define FLUSH_MS 500

void tallies_init(struct tallies *ts)
{
    for (size_t i = 0; i < TALLY_LISTS; i++)
        LIST_INIT(&ts->list[i]);
    LIST_INIT(&ts->moved);
    ts->due = 0;
}

static struct tally *make(struct tally_list *list, struct backend *b)
{
    struct tally *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->backend = b;
    LIST_INSERT_HEAD(list, t, in_list);
    return t;
}

struct tally *tally_get(struct tallies *ts, struct backend *b)
{
    struct tally_list *list = &ts->list[b->serial % TALLY_LISTS];
    struct tally *t;
    LIST_FOREACH(t, list, in_list)
        if (t->backend == b)
            break;
    if (t == NULL)
        t = make(list, b);
    if (t != NULL)
        t->users++;
    return t;
}

static void hand_over(struct tally *t)
{
    if (t->sent == 0 && t->received == 0)
        return;
    LIST_REMOVE(t, in_moved);
    atomic_fetch_add_explicit(&t->backend->sent, t->sent, memory_order_relaxed);
    atomic_fetch_add_explicit(&t->backend->received, t->received, memory_order_relaxed);
    t->sent = t->received = 0;
}

void tally_put(struct tally *t)
{
    if (t == NULL)
        return;
    hand_over(t);
    if (--t->users > 0)
        return;
    LIST_REMOVE(t, in_list);
    free(t);
}

void tally_add(struct tallies *ts, struct tally *t, uint64_t sent, uint64_t received, uint64_t now)
{
    if (t == NULL || (sent == 0 && received == 0))
        return;
    if (t->sent == 0 && t->received == 0) {
        if (LIST_EMPTY(&ts->moved))
            ts->due = now + FLUSH_MS;
        LIST_INSERT_HEAD(&ts->moved, t, in_moved);
    }
    t->sent += sent;
    t->received += received;
}

uint64_t tallies_due(const struct tallies *ts)
{
    return LIST_EMPTY(&ts->moved) ? UINT64_MAX : ts->due;
}

void tallies_flush(struct tallies *ts, uint64_t now)
{
    struct tally *t;
    if (tallies_due(ts) > now)
        return;
    while ((t = LIST_FIRST(&ts->moved)) != NULL)
        hand_over(t);
}
