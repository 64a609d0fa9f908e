#include "balance/server_set.h"

#include <stdlib.h>

#include "balance/passive.h"

#define NO_SLOT    UINT32_MAX
#define BACKUP_BIT 0x80000000u /* of a slot: in the rank of the backups */

/* Those that nobody may be sent to are left out, so that picking does not step over them; not with
 * "hash", where each has its keys whether it is up or down. */
static bool belongs(const struct config_pool *conf, const struct backend *b)
{
    return conf->balance == CONFIG_BALANCE_HASH || backend_is_willing(b);
}

static int rank_init(struct rank *r, const struct server_set *s, const struct server_place *places,
                     bool backup, const struct rank *previous)
{
    r->servers = calloc(s->count + 1, sizeof(struct backend *));
    if (r->servers == NULL)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (places[i].backup == backup && belongs(s->conf, places[i].backend))
            r->servers[r->count++] = places[i].backend;
    r->state = s->policy->create(r->servers, r->count, previous == NULL ? NULL : previous->state);
    return r->state == NULL ? -1 : 0;
}

struct server_set *server_set_new(const struct config_pool *conf, const struct server_place *places,
                                  size_t count, struct answer_file *file,
                                  const struct server_set *previous)
{
    struct server_set *s = calloc(1, sizeof *s + count * sizeof(struct backend *));
    if (s == NULL)
        return NULL;
    s->conf = conf;
    s->policy = policy_find(conf->balance);
    s->count = count;
    for (size_t i = 0; i < count; i++)
        s->servers[i] = places[i].backend;
    if (previous != NULL && previous->policy != s->policy)
        previous = NULL;
    for (int k = 0; k < RANKS; k++) {
        const struct rank *before = previous == NULL ? NULL : &previous->rank[k];
        if (rank_init(&s->rank[k], s, places, k == RANK_BACKUP, before) < 0) {
            server_set_free(s);
            return NULL;
        }
    }
    s->file = file;
    return s;
}

void server_set_free(struct server_set *s)
{
    if (s == NULL)
        return;
    for (int k = 0; k < RANKS; k++) {
        if (s->rank[k].state != NULL)
            s->policy->destroy(s->rank[k].state);
        free(s->rank[k].servers);
    }
    answer_file_unref(s->file);
    free(s);
}

/* Workers may have changed the servers while the order was made, with the old set in their hands:
 * so, now that they see this one, each is looked at again. */
void server_set_enter(struct server_set *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        atomic_store(&s->servers[i]->slot, NO_SLOT);
    for (int k = 0; k < RANKS; k++) {
        struct rank *r = &s->rank[k];
        for (size_t i = 0; i < r->count; i++)
            atomic_store(&r->servers[i]->slot, (uint32_t)i | (k == RANK_BACKUP ? BACKUP_BIT : 0));
        for (size_t i = 0; i < r->count && s->policy->changed != NULL; i++)
            s->policy->changed(r->state, i, now);
    }
}

static struct rank *rank_of(struct server_set *s, const struct backend *b, size_t *i)
{
    uint32_t slot = atomic_load(&b->slot);
    if (slot == NO_SLOT)
        return NULL;
    struct rank *r = &s->rank[(slot & BACKUP_BIT) != 0 ? RANK_BACKUP : RANK_REGULAR];
    *i = slot & ~BACKUP_BIT;
    return *i < r->count && r->servers[*i] == b ? r : NULL; /* else it is that of another set */
}

bool server_set_has(struct server_set *s, const struct backend *b)
{
    size_t i = 0;
    return rank_of(s, b, &i) != NULL;
}

void server_set_changed(struct server_set *s, const struct backend *b, uint64_t now)
{
    size_t i = 0;
    struct rank *r = s->policy->changed == NULL ? NULL : rank_of(s, b, &i);
    if (r != NULL)
        s->policy->changed(r->state, i, now);
}

struct choice {
    struct rank *rank;
    const struct set_request *request;
};

static enum backend_taken take(void *arg, size_t i, uint64_t expected)
{
    const struct choice *c = arg;
    const struct set_request *r = c->request;
    struct backend *b = c->rank->servers[i];
    if (pool_was_tried(r->tried, b) || !backend_is_willing(b))
        return BACKEND_REFUSED;
    if (!r->desperate && !backend_is_usable(b, r->now))
        return BACKEND_REFUSED;
    if (r->dry)
        return backend_is_full(b) ? BACKEND_REFUSED : BACKEND_TAKEN;
    enum backend_taken taken = backend_take(b, expected);
    if (taken != BACKEND_TAKEN || r->desperate || passive_begin_trial(b, r->now))
        return taken;
    backend_release(b); /* another worker was first */
    return BACKEND_REFUSED;
}

static struct backend *rank_pick(struct server_set *s, struct rank *rank,
                                 const struct set_request *r)
{
    struct choice c = { .rank = rank, .request = r };
    const struct policy_request ask = {
        .key = r->key,
        .now = r->now,
        .again = r->tried != NULL,
        .dry = r->dry,
        .take = take,
        .arg = &c,
    };
    if (rank->count == 0)
        return NULL;
    long i = s->policy->pick(rank->state, &ask);
    if (i < 0)
        return NULL;
    if (!r->dry)
        server_set_changed(s, rank->servers[i], r->now);
    return rank->servers[i];
}

/* The orders leave out whom failed connects have taken out, so here they are asked one by one. */
static struct backend *pick_any(struct server_set *s, const struct set_request *r)
{
    for (int k = 0; k < RANKS; k++) {
        struct choice c = { .rank = &s->rank[k], .request = r };
        for (size_t i = 0; i < s->rank[k].count; i++)
            if (take(&c, i, BACKEND_ANY) == BACKEND_TAKEN)
                return s->rank[k].servers[i];
    }
    return NULL;
}

struct backend *server_set_pick(struct server_set *s, const struct set_request *r)
{
    struct backend *b = NULL;
    for (int k = 0; k < RANKS && b == NULL && !r->desperate; k++)
        b = rank_pick(s, &s->rank[k], r);
    return r->desperate ? pick_any(s, r) : b;
}

bool server_set_is_usable(const struct server_set *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        if (backend_is_usable(s->servers[i], now))
            return true;
    return false;
}

uint64_t server_set_review(struct server_set *s, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < s->count; i++) {
        const struct backend *b = s->servers[i];
        uint64_t due = backend_changes_at(b, now);
        if (due == UINT64_MAX)
            continue;
        server_set_changed(s, b, now);
        if (due < next)
            next = due;
    }
    return next;
}
