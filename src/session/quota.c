#include "session/quota.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool is_wanted(const struct config_listen *c)
{
    return c->max_connections_per_ip != 0 || c->rate_limit_per_ip.count != 0;
}

static struct quota *make(const struct config_listen *c)
{
    struct quota *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->ip6_prefix = c->per_ip6_prefix;
    q->limits = limits_new(c->max_connections_per_ip, c->rate_limit_per_ip.count,
                           c->rate_limit_per_ip.period, (unsigned)q->ip6_prefix);
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
    *q = present != NULL && present->ip6_prefix == c->per_ip6_prefix ? present : make(c);
    if (*q == NULL)
        return -ENOMEM;
    quota_ref(*q);
    return 0;
}

void quota_set(struct quota *q, const struct config_listen *c, uint64_t now)
{
    if (q != NULL)
        limits_change(q->limits, c->max_connections_per_ip, c->rate_limit_per_ip.count,
                      c->rate_limit_per_ip.period, now);
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
