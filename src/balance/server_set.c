#include "balance/server_set.h"

#include <stdlib.h>

#include "balance/passive_check.h"

#define NO_RANK    UINT32_MAX
#define BACKUP_BIT 0x80000000u /* of a rank_index: in the rank of the backups */

static int rank_init(struct rank *r, const struct server_set *s,
                     const struct server_member *members, bool backup, const struct rank *previous)
{
    r->servers = calloc(s->count + 1, sizeof(struct server *));
    if (r->servers == NULL)
        return -1;
    for (size_t i = 0; i < s->count; i++)
        if (members[i].backup == backup &&
            (s->policy->holds_ineligible || server_is_eligible(members[i].server)))
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
    s->table = table_of(conf, members, count);
    for (int k = 0; k < RANKS && s->policy->digest != NULL; k++)
        table_add_digest(&s->table, s->policy->digest(s->rank[k].state));
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

/* Workers may have changed servers with the old set while the order of this one was computed, so
 * each server is looked at again now that they see this set. seq_cst: a worker changes a server and
 * then loads its rank_index, this function stores it and then loads the server. */
void server_set_assign_ranks(struct server_set *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        atomic_store(&s->servers[i]->rank_index, NO_RANK);
    for (int k = 0; k < RANKS; k++) {
        struct rank *r = &s->rank[k];
        for (size_t i = 0; i < r->count; i++)
            atomic_store(&r->servers[i]->rank_index,
                         (uint32_t)i | (k == RANK_BACKUP ? BACKUP_BIT : 0));
        for (size_t i = 0; i < r->count && s->policy->changed != NULL; i++)
            s->policy->changed(r->state, i, now);
    }
}

static struct rank *rank_of(struct server_set *s, const struct server *srv, size_t *i)
{
    uint32_t at = atomic_load(&srv->rank_index); /* seq_cst: see server_set_assign_ranks() */
    if (at == NO_RANK)
        return NULL;
    struct rank *r = &s->rank[(at & BACKUP_BIT) != 0 ? RANK_BACKUP : RANK_REGULAR];
    *i = at & ~BACKUP_BIT;
    return *i < r->count && r->servers[*i] == srv ? r : NULL; /* otherwise: index in another set */
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

static enum server_acquired server_set_acquire(const struct pick_request *r, struct server *srv,
                                               uint64_t expected)
{
    if (pool_was_tried(r->tried, srv) || !server_is_usable(srv, r->now))
        return SERVER_REFUSED;
    if (r->waiting > 0 && server_holds_back(srv, r->waiting, r->now))
        return SERVER_REFUSED;
    enum server_acquired acquired = server_acquire(srv, expected);
    if (acquired != SERVER_ACQUIRED || passive_check_probe_begin(srv, r->now))
        return acquired;
    server_release(srv); /* another worker has begun the probe */
    return SERVER_REFUSED;
}

static enum server_acquired server_set_could_acquire(const struct pick_request *r,
                                                     struct server *srv, uint64_t expected)
{
    (void)expected;
    bool could = !pool_was_tried(r->tried, srv) && server_is_usable(srv, r->now) &&
                 (srv == r->holds || !server_is_full(srv));
    return could ? SERVER_ACQUIRED : SERVER_REFUSED;
}

bool server_set_is_usable(const struct server_set *s, uint64_t now)
{
    for (size_t i = 0; i < s->count; i++)
        if (server_is_usable(s->servers[i], now))
            return true;
    return false;
}

/* Whether servers that are out after failed connects may be tried as the last resort. Sessions that
 * can wait until one of them is probed do so. */
static bool has_last_resort(const struct server_set *s, uint64_t now)
{
    return s->conf->queue_when != CONFIG_QUEUE_DOWN && !server_set_is_usable(s, now);
}

/* Acquires a slot only while the server has fewer sessions than its share, also if other workers
 * acquire slots at the same time. */
static enum server_acquired server_set_acquire_below(const struct pick_request *r,
                                                     struct server *srv, uint64_t expected)
{
    enum server_acquired acquired = SERVER_CHANGED;
    while (acquired == SERVER_CHANGED) {
        uint64_t active = server_active(srv);
        if (active >= atomic_load(&srv->fair))
            return SERVER_REFUSED;
        acquired = server_set_acquire(r, srv, expected == SERVER_ANY_COUNT ? active : expected);
        if (expected != SERVER_ANY_COUNT)
            break;
    }
    return acquired;
}

static enum server_acquired server_set_could_acquire_below(const struct pick_request *r,
                                                           struct server *srv, uint64_t expected)
{
    return server_has_fair_share(srv) ? SERVER_REFUSED : server_set_could_acquire(r, srv, expected);
}

static bool is_last_resort(const struct pick_request *r, const struct server *srv)
{
    return !pool_was_tried(r->tried, srv) && server_is_eligible(srv) && !server_is_full(srv);
}

/* The policies' orders leave out servers that failed connects have taken out, so the servers are
 * tried one after the other. */
static struct server *pick_last_resort(struct server_set *s, const struct pick_request *r)
{
    for (int k = 0; k < RANKS; k++)
        for (size_t i = 0; i < s->rank[k].count; i++) {
            struct server *srv = s->rank[k].servers[i];
            if (is_last_resort(r, srv) && server_acquire(srv, SERVER_ANY_COUNT) == SERVER_ACQUIRED)
                return srv;
        }
    return NULL;
}

static struct server *peek_last_resort(const struct server_set *s, const struct pick_request *r)
{
    for (int k = 0; k < RANKS; k++)
        for (size_t i = 0; i < s->rank[k].count; i++)
            if (is_last_resort(r, s->rank[k].servers[i]))
                return s->rank[k].servers[i];
    return NULL;
}

static struct server *pick_by(struct server_set *s, const struct pick_request *r,
                              policy_acquire_fn *acquire)
{
    for (int k = 0; k < RANKS; k++) {
        const struct rank *rank = &s->rank[k];
        long i = rank->count == 0 ? -1 : s->policy->pick(rank->state, r, acquire);
        if (i >= 0) {
            server_set_changed(s, rank->servers[i], r->now);
            return rank->servers[i];
        }
    }
    return NULL;
}

static struct server *peek_by(const struct server_set *s, const struct pick_request *r,
                              policy_acquire_fn *could_acquire)
{
    for (int k = 0; k < RANKS; k++) {
        const struct rank *rank = &s->rank[k];
        long i = rank->count == 0 ? -1 : s->policy->peek(rank->state, r, could_acquire);
        if (i >= 0)
            return rank->servers[i];
    }
    return NULL;
}

struct server *server_set_pick(struct server_set *s, const struct pick_request *r, bool below)
{
    struct server *srv = below ? pick_by(s, r, server_set_acquire_below) : NULL;
    if (srv == NULL)
        srv = pick_by(s, r, server_set_acquire);
    if (srv == NULL && has_last_resort(s, r->now))
        srv = pick_last_resort(s, r);
    return srv;
}

struct server *server_set_peek(const struct server_set *s, const struct pick_request *r, bool below)
{
    struct server *srv = below ? peek_by(s, r, server_set_could_acquire_below) : NULL;
    if (srv == NULL)
        srv = peek_by(s, r, server_set_could_acquire);
    if (srv == NULL && has_last_resort(s, r->now))
        srv = peek_last_resort(s, r);
    return srv;
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
