#include "control/checks.h"

#include <stdlib.h>

#include "base/log.h"

/* ---- servers that went down ---- */

struct ending {
    struct letter letter; /* first */
    const struct backend *on;
};

static void end_sessions(struct letter *l, void *worker)
{
    struct ending *e = (struct ending *)l;
    sessions_end_on(worker_sessions(worker), e->on, SESSION_END_SERVER_DOWN);
    free(e);
}

static void on_went_down(void *arg, struct pool *p, struct backend *b)
{
    struct runtime *rt = arg;
    for (size_t i = 0; i < crew_running(&rt->crew); i++) {
        struct ending *e = calloc(1, sizeof *e);
        if (e == NULL) {
            log_msg(LOG_LEVEL_ERROR, "on_down", "[pool %s]: out of memory: sessions go on",
                    pool_name(p));
            return;
        }
        e->letter.run = end_sessions;
        e->on = b;
        if (!worker_post(crew_worker(&rt->crew, i), &e->letter))
            free(e);
    }
}

/* ---- pools ---- */

void checks_sync(struct runtime *rt, struct pool *p)
{
    if (rt->health != NULL && health_sync(rt->health, p) < 0)
        log_msg(LOG_LEVEL_ERROR, "checks", "[pool %s]: out of memory: not all servers are checked",
                pool_name(p));
}

void checks_forget(struct runtime *rt, const struct pool *p)
{
    if (rt->health != NULL)
        health_forget(rt->health, p);
}

/* One that is not checked is not in force yet, or will be synced when its settings are. */
static void on_changed(void *arg, struct pool *p)
{
    struct runtime *rt = arg;
    if (rt->health != NULL && health_has(rt->health, p))
        checks_sync(rt, p);
}

int checks_open(struct runtime *rt)
{
    rt->pools.changed = on_changed;
    return health_new(&rt->health, rt->loop, on_went_down, rt);
}

void checks_close(struct runtime *rt)
{
    health_close(rt->health);
    rt->health = NULL;
}
