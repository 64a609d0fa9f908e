#include "control/health_checks.h"

#include <stdlib.h>

#include "base/log.h"
#include "session/session_close.h"

/* ---- servers that went down ---- */

struct end_sessions_message {
    struct worker_message worker_message; /* first */
    const struct server *server;
};

static void end_sessions(struct worker_message *l, void *worker)
{
    struct end_sessions_message *e = (struct end_sessions_message *)l;
    sessions_close_on_server(worker_sessions(worker), e->server, SESSION_END_SERVER_DOWN);
    free(e);
}

static void on_went_down(void *arg, struct pool *p, struct server *srv)
{
    struct runtime *rt = arg;
    for (size_t i = 0; i < workers_running(&rt->workers); i++) {
        struct end_sessions_message *e = calloc(1, sizeof *e);
        if (e == NULL) {
            log_msg(LOG_LEVEL_ERROR, "on_down",
                    "[pool %s]: out of memory: sessions of a server that is down are not closed",
                    pool_name(p));
            return;
        }
        e->worker_message.run = end_sessions;
        e->server = srv;
        if (!worker_post(workers_at(&rt->workers, i), &e->worker_message))
            free(e);
    }
}

/* ---- pools ---- */

void health_checks_sync(struct runtime *rt, struct pool *p)
{
    if (rt->health != NULL && health_sync(rt->health, p) < 0)
        log_msg(LOG_LEVEL_ERROR, "checks", "[pool %s]: out of memory: not all servers are checked",
                pool_name(p));
}

void health_checks_remove(struct runtime *rt, const struct pool *p)
{
    if (rt->health != NULL)
        health_remove_pool(rt->health, p);
}

/* A pool that is not checked is not in force yet, or health_checks_sync() is still to come. */
static void health_checks_on_changed(void *arg, struct pool *p)
{
    struct runtime *rt = arg;
    if (rt->health != NULL && health_is_checked(rt->health, p))
        health_checks_sync(rt, p);
}

int health_checks_open(struct runtime *rt)
{
    rt->pools.changed = health_checks_on_changed;
    return health_new(&rt->health, rt->loop, on_went_down, rt);
}

void health_checks_close(struct runtime *rt)
{
    health_close(rt->health);
    rt->health = NULL;
}
