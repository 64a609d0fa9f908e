#include "balance/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "balance/policy.h"

/* Servers of the same rank with a policy of their own: those in regular use, and the backups. */
struct rank {
    void *state;       /* of the policy */
    uint16_t *servers; /* the policy's numbers to the pool's */
    size_t count;
};

struct pool {
    const struct config_pool *conf;
    const struct policy_ops *policy;
    struct rank regular;
    struct rank backup;
    struct backend backends[];
};

static int rank_init(struct rank *r, const struct pool *p, bool backup)
{
    size_t n = p->conf->server_count; /* at least 1 */
    assert(n > 0);
    unsigned *weights = calloc(n, sizeof *weights);
    r->count = 0;
    r->servers = calloc(n, sizeof *r->servers);
    if (weights != NULL && r->servers != NULL) {
        for (size_t i = 0; i < n; i++) {
            const struct backend *b = &p->backends[i];
            if (b->conf->backup != backup || !backend_is_ready(b))
                continue;
            weights[r->count] = b->conf->weight;
            r->servers[r->count++] = (uint16_t)i;
        }
        r->state = p->policy->create(weights, r->count);
    }
    free(weights);
    return r->state == NULL ? -ENOMEM : 0;
}

static void rank_fini(struct rank *r, const struct pool *p)
{
    if (r->state != NULL)
        p->policy->destroy(r->state);
    free(r->servers);
}

struct pool *pool_new(const struct config_pool *conf)
{
    struct pool *p = calloc(1, sizeof *p + conf->server_count * sizeof p->backends[0]);
    if (p == NULL)
        return NULL;
    p->conf = conf;
    p->policy = policy_find(conf->balance);
    for (size_t i = 0; i < conf->server_count; i++)
        backend_init(&p->backends[i], &conf->server[i]);
    if (rank_init(&p->regular, p, false) < 0 || rank_init(&p->backup, p, true) < 0) {
        pool_free(p);
        return NULL;
    }
    return p;
}

void pool_free(struct pool *p)
{
    if (p == NULL)
        return;
    rank_fini(&p->regular, p);
    rank_fini(&p->backup, p);
    free(p);
}

const struct config_pool *pool_conf(const struct pool *p)
{
    return p->conf;
}

struct choice {
    struct pool *pool;
    const struct rank *rank;
    const struct pool_tried *tried;
};

static bool was_tried(const struct pool_tried *tried, uint16_t server)
{
    if (tried == NULL)
        return false;
    for (unsigned i = 0; i < tried->count; i++)
        if (tried->index[i] == server)
            return true;
    return false;
}

static bool take(void *arg, size_t i)
{
    const struct choice *c = arg;
    uint16_t server = c->rank->servers[i];
    return !was_tried(c->tried, server) && backend_take(&c->pool->backends[server]);
}

static struct backend *rank_pick(struct pool *p, struct rank *r, const struct pool_tried *tried)
{
    struct choice c = { .pool = p, .rank = r, .tried = tried };
    long i = p->policy->pick(r->state, tried != NULL, take, &c);
    return i < 0 ? NULL : &p->backends[r->servers[i]];
}

struct backend *pool_pick(struct pool *p, const struct pool_tried *tried)
{
    struct backend *b = rank_pick(p, &p->regular, tried);
    return b != NULL ? b : rank_pick(p, &p->backup, tried);
}

int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct backend *b)
{
    if (*tried == NULL) {
        size_t attempts = (size_t)p->conf->retries + 1;
        size_t room = attempts < p->conf->server_count ? attempts : p->conf->server_count;
        *tried = malloc(sizeof **tried + room * sizeof(*tried)->index[0]);
        if (*tried == NULL)
            return -ENOMEM;
        (*tried)->count = 0;
    }
    (*tried)->index[(*tried)->count++] = (uint16_t)(b - p->backends);
    return 0;
}

bool pool_has_one(const struct pool *p)
{
    return p->regular.count + p->backup.count == 1;
}
