#include "session/quota.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool is_wanted(const struct config_listen *c)
{
    return c->max_connections_per_ip != 0 || c->rate_limit_per_ip.count != 0;
}

static bool is_same(const struct quota *q, const struct config_listen *c)
{
    return q->max_connections == c->max_connections_per_ip &&
           q->rate.count == c->rate_limit_per_ip.count &&
           q->rate.period == c->rate_limit_per_ip.period && q->ip6_prefix == c->per_ip6_prefix;
}

static struct quota *make(const struct config_listen *c)
{
    struct quota *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->max_connections = c->max_connections_per_ip;
    q->rate = c->rate_limit_per_ip;
    q->ip6_prefix = c->per_ip6_prefix;
    q->limits =
        limits_new(q->max_connections, q->rate.count, q->rate.period, (unsigned)q->ip6_prefix);
    if (q->limits == NULL) {
        free(q);
        return NULL;
    }
    return q;
}

int quota_get(struct quota **q, struct quota *present, const struct config_listen *c)
{
    *q = NULL;
    if (!is_wanted(c))
        return 0;
    *q = present != NULL && is_same(present, c) ? present : make(c);
    if (*q == NULL)
        return -ENOMEM;
    quota_ref(*q);
    return 0;
}

struct quota *quota_ref(struct quota *q)
{
    if (q != NULL)
        q->users++;
    return q;
}

void quota_put(struct quota *q)
{
    if (q == NULL || --q->users > 0)
        return;
    limits_free(q->limits);
    free(q);
}
