#include "session/client_quota.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

static bool is_wanted(const struct config_listen *c)
{
    return c->max_connections_per_ip != 0 || c->rate_limit_per_ip.count != 0;
}

static struct client_quota *client_quota_new(const struct config_listen *c)
{
    struct client_quota *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->ip6_prefix = c->per_ip6_prefix;
    q->client_limits = client_limits_new(c->max_connections_per_ip, c->rate_limit_per_ip.count,
                                         c->rate_limit_per_ip.period, (unsigned)q->ip6_prefix);
    if (q->client_limits == NULL) {
        free(q);
        return NULL;
    }
    return q;
}

int client_quota_get(struct client_quota **q, struct client_quota *present,
                     const struct config_listen *c)
{
    *q = NULL;
    if (!is_wanted(c))
        return 0;
    *q =
        present != NULL && present->ip6_prefix == c->per_ip6_prefix ? present : client_quota_new(c);
    if (*q == NULL)
        return -ENOMEM;
    client_quota_ref(*q);
    return 0;
}

void client_quota_set(struct client_quota *q, const struct config_listen *c, uint64_t now)
{
    if (q != NULL)
        client_limits_change(q->client_limits, c->max_connections_per_ip,
                             c->rate_limit_per_ip.count, c->rate_limit_per_ip.period, now);
}

struct client_quota *client_quota_ref(struct client_quota *q)
{
    if (q != NULL)
        q->users++;
    return q;
}

void client_quota_unref(struct client_quota *q)
{
    if (q == NULL || --q->users > 0)
        return;
    client_limits_free(q->client_limits);
    free(q);
}
