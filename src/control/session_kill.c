#include "control/session_kill.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "session/session_close.h"

struct session_kill {
    struct session_scan session_scan;
    struct session_kill_request request;
    uint64_t *id;
    uint32_t *server;
    _Atomic uint64_t closed;
};

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return left < right ? -1 : left > right;
}

static bool session_kill_matches(const struct session_kill *c, const struct session *s)
{
    if (c->request.ids > 0 &&
        bsearch(&s->id, c->id, c->request.ids, sizeof *c->id, compare_ids) != NULL)
        return true;
    for (size_t i = 0; i < c->request.servers && s->target != NULL; i++)
        if (c->server[i] == s->target->serial)
            return true;
    return false;
}

/* Ends the scan when all sessions of the request have been found. */
static bool session_kill_visit(struct session_scan *scan, size_t part, struct session *s)
{
    struct session_kill *c = (struct session_kill *)scan; /* its first member */
    (void)part;
    if (session_kill_matches(c, s)) {
        session_close(s, SESSION_END_ADMIN);
        atomic_fetch_add_explicit(&c->closed, 1, memory_order_relaxed);
    }
    return c->request.servers > 0 ||
           atomic_load_explicit(&c->closed, memory_order_relaxed) < c->request.ids;
}

static void session_kill_free(struct session_kill *c)
{
    free(c->id);
    free(c->server);
    free(c);
}

static void session_kill_on_done(struct session_scan *scan)
{
    struct session_kill *c = (struct session_kill *)scan;
    c->request.done(c->request.arg, atomic_load_explicit(&c->closed, memory_order_relaxed));
    session_kill_free(c);
}

int session_kill_start(struct scan_replies *scan_replies, struct workers *workers,
                       const struct session_kill_request *request)
{
    struct session_kill *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->request = *request;
    c->id = calloc(request->ids + 1, sizeof *c->id);
    c->server = calloc(request->servers + 1, sizeof *c->server);
    c->session_scan.visit = session_kill_visit;
    c->session_scan.done = session_kill_on_done;
    if (c->id != NULL && request->ids > 0)
        memcpy(c->id, request->id, request->ids * sizeof *c->id);
    if (c->server != NULL && request->servers > 0)
        memcpy(c->server, request->server, request->servers * sizeof *c->server);
    if (c->id != NULL && c->server != NULL &&
        session_scan_start(&c->session_scan, scan_replies, workers) == 0)
        return 0;
    session_kill_free(c);
    return -ENOMEM;
}
