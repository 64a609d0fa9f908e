#include "session/entrance.h"

#include <stdlib.h>
#include <string.h>

static struct entrance *find(const struct entrance_list *all, const char *name)
{
    struct entrance *e;
    LIST_FOREACH(e, all, in_all)
        if (strcmp(e->name, name) == 0)
            return e;
    return NULL;
}

static struct entrance *make(const char *name, void (*wake)(void *arg), void *arg)
{
    struct entrance *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->name = strdup(name);
    if (e->name == NULL) {
        free(e);
        return NULL;
    }
    gate_init(&e->gate, 0, wake, arg);
    gate_set_reason(&e->gate, ACCEPT_LISTENER_MAX_CONNECTIONS);
    return e;
}

struct entrance *entrance_get(struct entrance_list *all, const char *name, void (*wake)(void *arg),
                              void *arg)
{
    struct entrance *e = find(all, name);
    if (e == NULL) {
        e = make(name, wake, arg);
        if (e == NULL)
            return NULL;
        LIST_INSERT_HEAD(all, e, in_all);
    }
    e->users++;
    return e;
}

void entrance_set_limits(struct entrance *e, uint64_t max_connections, struct quota *q)
{
    struct quota *before = e->quota;
    gate_set_limit(&e->gate, max_connections);
    e->quota = quota_ref(q);
    quota_put(before);
}

void entrance_put(struct entrance *e)
{
    if (e == NULL || --e->users > 0)
        return;
    LIST_REMOVE(e, in_all);
    quota_put(e->quota);
    free(e->name);
    free(e);
}
