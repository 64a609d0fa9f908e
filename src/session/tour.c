#include "session/tour.h"

#include <stddef.h>

void tour_begin(struct tour *t, struct sessions *all)
{
    t->next = LIST_FIRST(&all->all);
    LIST_INSERT_HEAD(&all->tours, t, in_sessions);
}

struct session *tour_next(struct tour *t)
{
    struct session *s = t->next;
    if (s != NULL)
        t->next = LIST_NEXT(s, in_all);
    return s;
}

void tour_end(struct tour *t)
{
    LIST_REMOVE(t, in_sessions);
}

void tour_leave(const struct session *s)
{
    struct tour *t;
    LIST_FOREACH(t, &s->home->tours, in_sessions)
        if (t->next == s)
            t->next = LIST_NEXT(s, in_all);
}
