#include "config/cycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define PORT_WORDS (65536 / 64)

/* How the walk has visited a pool. */
struct visit {
    bool seen;       /* at any port: enough for servers with a port */
    uint64_t *ports; /* one bit per port, for servers without a port; NULL: none yet */
};

struct step {
    bool is_pool;
    size_t index;
};

struct walk {
    const struct cycle *c;
    size_t target;
    uint16_t port;
    struct visit *visits; /* of all pools */
    struct step *steps;   /* from the start to the current place */
    size_t depth;
    size_t room;
    bool failed; /* out of memory */
};

static bool visit_pool(struct walk *w, size_t pool, uint16_t port, bool servers);

static bool push(struct walk *w, bool is_pool, size_t index)
{
    if (w->depth == w->room) {
        size_t room = w->room == 0 ? 16 : 2 * w->room;
        struct step *more = realloc(w->steps, room * sizeof *more);
        if (more == NULL) {
            w->failed = true;
            return false;
        }
        w->steps = more;
        w->room = room;
    }
    w->steps[w->depth++] = (struct step){ is_pool, index };
    return true;
}

static size_t cycle_pool_index(const struct walk *w, const struct config_pool *p)
{
    return (size_t)(p - w->c->conf->pool);
}

static bool visit_pools(struct walk *w, const struct config_listen *l, uint16_t port, bool servers)
{
    if (l->pool != NULL && visit_pool(w, cycle_pool_index(w, l->pool), port, servers))
        return true;
    for (size_t i = 0; i < l->route_count; i++)
        if (l->route[i].pool != NULL &&
            visit_pool(w, cycle_pool_index(w, l->route[i].pool), port, servers))
            return true;
    return false;
}

/* Looks at the pools of the listener before their servers: the shorter chain is easier to read. */
static bool visit_listener(struct walk *w, size_t listener, uint16_t port)
{
    const struct config_listen *l = &w->c->conf->listen[listener];
    if (w->depth > 2 * CYCLE_DEPTH_MAX)
        return true;
    if (!push(w, false, listener))
        return false;
    if (visit_pools(w, l, port, false) || visit_pools(w, l, port, true))
        return true;
    w->depth--;
    return false;
}

static bool visit_address(struct walk *w, const struct addr *to)
{
    size_t listener = w->c->find_listener(w->c->arg, to);
    return listener != CYCLE_NONE && visit_listener(w, listener, addr_port(to));
}

/* Marks a port of a pool as visited. Returns true at the first visit; false also when out of
 * memory. */
static bool mark_port(struct walk *w, struct visit *v, uint16_t port)
{
    uint64_t bit = UINT64_C(1) << port % 64;
    if (v->ports == NULL && (v->ports = calloc(PORT_WORDS, sizeof *v->ports)) == NULL) {
        w->failed = true;
        return false;
    }
    bool first = (v->ports[port / 64] & bit) == 0;
    v->ports[port / 64] |= bit;
    return first;
}

static bool visit_servers(struct walk *w, size_t pool, uint16_t port)
{
    struct visit *v = &w->visits[pool];
    struct addr at;
    bool same_port = false;
    bool first = !v->seen;
    int first_by_port = -1; /* not known yet */
    v->seen = true;
    for (size_t n = 0; !w->failed && w->c->server(w->c->arg, pool, n, &at, &same_port); n++) {
        if (same_port && first_by_port == -1)
            first_by_port = mark_port(w, v, port);
        if (at.len == 0 || (same_port ? first_by_port <= 0 || port == 0 : !first))
            continue;
        if (same_port)
            addr_set_port(&at, port);
        if (visit_address(w, &at))
            return true;
    }
    return false;
}

static bool visit_pool(struct walk *w, size_t pool, uint16_t port, bool servers)
{
    const struct config_pool *p = &w->c->conf->pool[pool];
    size_t begin = w->depth;
    bool found = false;
    /* the limit: fallbacks may form a loop, which check_fallbacks() reports */
    for (size_t n = 0; p != NULL && n < w->c->conf->pool_count && !found && !w->failed; n++) {
        size_t index = cycle_pool_index(w, p);
        if (!push(w, true, index))
            break;
        found = (index == w->target && (w->port == 0 || w->port == port)) ||
                (servers && visit_servers(w, index, port));
        p = p->fallback;
    }
    if (!found)
        w->depth = begin;
    return found;
}

/* Removes the steps between two visits of the same pool or listener. */
static void remove_detours(struct walk *w)
{
    size_t kept = 0;
    for (size_t i = 0; i < w->depth; i++) {
        const struct step s = w->steps[i];
        for (size_t k = 0; k < kept; k++)
            if (w->steps[k].is_pool == s.is_pool && w->steps[k].index == s.index)
                kept = k;
        w->steps[kept++] = s;
    }
    w->depth = kept;
}

static int describe(const struct walk *w, char **steps)
{
    size_t size = 0;
    *steps = NULL;
    if (w->depth <= 2)
        return 1;
    FILE *out = open_memstream(steps, &size);
    if (out == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < w->depth; i++) {
        const struct step *s = &w->steps[i];
        fprintf(out, "%s%s %s", i == 0 ? "" : " -> ", s->is_pool ? "pool" : "listen",
                s->is_pool ? w->c->conf->pool[s->index].name : w->c->conf->listen[s->index].name);
    }
    if (fclose(out) == 0)
        return 1;
    free(*steps);
    *steps = NULL;
    return -ENOMEM;
}

int cycle_find(const struct cycle *c, size_t pool, uint16_t port, const struct addr *to,
               char **steps)
{
    struct walk w = { .c = c, .target = pool, .port = port };
    w.visits = calloc(c->conf->pool_count + 1, sizeof *w.visits);
    *steps = NULL;
    if (w.visits == NULL)
        return -ENOMEM;
    bool found = visit_address(&w, to);
    remove_detours(&w);
    int rc = w.failed ? -ENOMEM : found ? describe(&w, steps) : 0;
    for (size_t i = 0; i < c->conf->pool_count; i++)
        free(w.visits[i].ports);
    free(w.visits);
    free(w.steps);
    return rc;
}
