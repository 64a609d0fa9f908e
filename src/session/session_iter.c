#include "session/session_iter.h"

#include <stddef.h>

void session_iter_init(struct session_iter *it, struct sessions *all)
{
    it->next = LIST_FIRST(&all->all);
    LIST_INSERT_HEAD(&all->iters, it, in_sessions);
}

struct session *session_iter_next(struct session_iter *it)
{
    struct session *s = it->next;
    if (s != NULL)
        it->next = LIST_NEXT(s, in_all);
    return s;
}

void session_iter_fini(struct session_iter *it)
{
    LIST_REMOVE(it, in_sessions);
}

void session_iter_skip(const struct session *s)
{
    struct session_iter *it;
    LIST_FOREACH(it, &s->sessions->iters, in_sessions)
        if (it->next == s)
            it->next = LIST_NEXT(s, in_all);
}
