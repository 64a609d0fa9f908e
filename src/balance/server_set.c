#include "balance/server_set.h"

#include <stdlib.h>

#include "balance/passive_check.h"

#define NO_SLOT    UINT32_MAX
#define BACKUP_BIT 0x80000000u /* of a slot: in the rank of the backups */

/* Those that nobody may be sent to are left out, so that picking does not step over them; not with
 * "hash", where each has its keys whether it is up or down. */
static bool server_set_takes_in(const struct config_pool *conf, const struct server *srv)
{
    return conf->balance == CONFIG_BALANCE_HASH || server_is_eligible(srv);
}

static int rank_init(struct rank *r, const struct server_set *s,
                     const struct server_member *members, bool backup, const struct rank *previous)
{
    r->servers = calloc(s->count + 1, sizeof(struct server *));
    if (r->servers == NULL)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (members[i].backup == backup && server_set_takes_in(s->conf, members[i].server))
            r->servers[r->count++] = members[i].server;
    r->state = s->policy->create(r->servers, r->count, previous == NULL ? NULL : previous->state);
    return r->state == NULL ? -1 : 0;
}

struct server_set *server_set_new(const struct config_pool *conf,
                                  const struct server_member *members, size_t count,
                                  struct answer_file *file, const struct server_set *previous)
{
    struct server_set *s = calloc(1, sizeof *s + count * sizeof(struct server *));
    if (s == NULL)
        return NULL;
    s->conf = conf;
    s->policy = policy_find(conf->balance);
    s->count = count;
    for (size_t i = 0; i < count; i++)
        s->servers[i] = members[i].server;
    if (previous != NULL && previous->policy != s->policy)
        previous = NULL;
    for (int k = 0; k < RANKS; k++) {
        const struct rank *before = previous == NULL ? NULL : &previous->rank[k];
        if (rank_init(&s->rank[k], s, members, k == RANK_BACKUP, before) < 0) {
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
void server_set_assign_slots(struct server_set *s, uint64_t now)
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

static struct rank *rank_of(struct server_set *s, const struct server *srv, size_t *i)
{
    uint32_t slot = atomic_load(&srv->slot);
    if (slot == NO_SLOT)
        return NULL;
    struct rank *r = &s->rank[(slot & BACKUP_BIT) != 0 ? RANK_BACKUP : RANK_REGULAR];
    *i = slot & ~BACKUP_BIT;
    return *i < r->count && r->servers[*i] == srv ? r : NULL; /* else it is that of another set */
}

bool server_set_has(struct server_set *s, const struct server *srv)
{
    size_t i = 0;
    return rank_of(s, srv, &i) != NULL;
}

void server_set_changed(struct server_set *s, const struct server *srv, uint64_t now)
{
    size_t i = 0;
    struct rank *r = s->policy->changed == NULL ? NULL : rank_of(s, srv, &i);
    if (r != NULL)
        s->policy->changed(r->state, i, now);
}

struct choice {
    struct rank *rank;
    const struct server_set_request *request;
};

static enum server_acquired server_set_try_acquire(void *arg, size_t i, uint64_t expected)
{
    const struct choice *c = arg;
    const struct server_set_request *r = c->request;
    struct server *srv = c->rank->servers[i];
    if (pool_was_tried(r->tried, srv) || !server_is_eligible(srv))
        return SERVER_REFUSED;
    if (!r->last_resort && !server_is_usable(srv, r->now))
        return SERVER_REFUSED;
    if (r->dry_run)
        return server_is_full(srv) ? SERVER_REFUSED : SERVER_ACQUIRED;
    enum server_acquired taken = server_acquire(srv, expected);
    if (taken != SERVER_ACQUIRED || r->last_resort || passive_check_trial_begin(srv, r->now))
        return taken;
    server_release(srv); /* another worker was first */
    return SERVER_REFUSED;
}

static struct server *rank_pick(struct server_set *s, struct rank *rank,
                                const struct server_set_request *r)
{
    struct choice c = { .rank = rank, .request = r };
    const struct policy_request ask = {
        .key = r->key,
        .now = r->now,
        .is_retry = r->tried != NULL,
        .dry_run = r->dry_run,
        .take = server_set_try_acquire,
        .arg = &c,
    };
    if (rank->count == 0)
        return NULL;
    long i = s->policy->pick(rank->state, &ask);
    if (i < 0)
        return NULL;
    if (!r->dry_run)
        server_set_changed(s, rank->servers[i], r->now);
    return rank->servers[i];
}

/* The orders leave out whom failed connects have taken out, so here they are asked one by one. */
static struct server *server_set_pick_any(struct server_set *s, const struct server_set_request *r)
{
    for (int k = 0; k < RANKS; k++) {
        struct choice c = { .rank = &s->rank[k], .request = r };
        for (size_t i = 0; i < s->rank[k].count; i++)
            if (server_set_try_acquire(&c, i, SERVER_ANY_COUNT) == SERVER_ACQUIRED)
                return s->rank[k].servers[i];
    }
    return NULL;
}

struct server *server_set_pick(struct server_set *s, const struct server_set_request *r)
{
    struct server *srv = NULL;
    for (int k = 0; k < RANKS && srv == NULL && !r->last_resort; k++)
        srv = rank_pick(s, &s->rank[k], r);
    return r->last_resort ? server_set_pick_any(s, r) : srv;
}

bool server_set_is_usable(const struct server_set *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        if (server_is_usable(s->servers[i], now))
            return true;
    return false;
}

uint64_t server_set_review(struct server_set *s, uint64_t now)
{
    uint64_t next = UINT64_MAX;
    for (size_t i = 0; i < s->count; i++) {
        const struct server *srv = s->servers[i];
        uint64_t due = server_changes_at(srv, now);
        if (due == UINT64_MAX)
            continue;
        server_set_changed(s, srv, now);
        if (due < next)
            next = due;
    }
    return next;
}
