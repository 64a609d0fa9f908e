#include "control/closing.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "session/life.h"

struct closing {
    struct survey survey;
    struct closing_order order;
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

static bool is_meant(const struct closing *c, const struct session *s)
{
    if (c->order.ids > 0 &&
        bsearch(&s->id, c->id, c->order.ids, sizeof *c->id, compare_ids) != NULL)
        return true;
    for (size_t i = 0; i < c->order.servers && s->backend != NULL; i++)
        if (c->server[i] == s->backend->serial)
            return true;
    return false;
}

/* With all of the wanted ones found there is nothing more to look for. */
static bool visit(struct survey *sv, size_t part, struct session *s)
{
    struct closing *c = (struct closing *)sv; /* its first member */
    (void)part;
    if (is_meant(c, s)) {
        life_end(s, SESSION_END_ADMIN);
        atomic_fetch_add(&c->closed, 1);
    }
    return c->order.servers > 0 || atomic_load(&c->closed) < c->order.ids;
}

static void closing_free(struct closing *c)
{
    free(c->id);
    free(c->server);
    free(c);
}

static void on_done(struct survey *sv)
{
    struct closing *c = (struct closing *)sv;
    c->order.done(c->order.arg, atomic_load(&c->closed));
    closing_free(c);
}

int closing_begin(struct survey_desk *desk, struct crew *crew, const struct closing_order *order)
{
    struct closing *c = calloc(1, sizeof *c);
    if (c == NULL)
        return -ENOMEM;
    c->order = *order;
    c->id = calloc(order->ids + 1, sizeof *c->id);
    c->server = calloc(order->servers + 1, sizeof *c->server);
    c->survey.visit = visit;
    c->survey.done = on_done;
    if (c->id != NULL && order->ids > 0)
        memcpy(c->id, order->id, order->ids * sizeof *c->id);
    if (c->server != NULL && order->servers > 0)
        memcpy(c->server, order->server, order->servers * sizeof *c->server);
    if (c->id != NULL && c->server != NULL && survey_begin(&c->survey, desk, crew) == 0)
        return 0;
    closing_free(c);
    return -ENOMEM;
}
