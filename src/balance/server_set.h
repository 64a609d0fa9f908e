/* The servers of a pool as workers see them. A set is immutable, apart from the atomics in the
 * servers and in the policy's state; a change publishes a new set.
 *
 * The pool owns the servers, and keeps them as long as a worker may see a set that has them.
 */
#ifndef ZPROXY_BALANCE_SERVER_SET_H
#define ZPROXY_BALANCE_SERVER_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/answer_file.h"
#include "balance/policy.h"
#include "balance/queue.h"
#include "balance/server.h"
#include "balance/table.h"
#include "config/config.h"

/* The servers that the policy orders together: the regular ones, and the backups. */
enum rank_kind {
    RANK_REGULAR,
    RANK_BACKUP,
    RANKS,
};

struct rank {
    void *state; /* the policy's */
    struct server **servers;
    size_t count;
};

struct server_set {
    const struct config_pool *conf;
    const struct policy_ops *policy;
    struct table table;
    struct answer_file *file; /* sent instead of a server's answer; NULL: none */
    struct rank rank[RANKS];
    size_t count;
    struct server *servers[]; /* of both ranks, and those in neither */
};

/* Allocates a set. previous: the set that it will replace, whose rotation it continues; may be
 * NULL. The set owns the reference to file. Returns NULL when out of memory; then the caller still
 * owns the reference. */
struct server_set *server_set_new(const struct config_pool *conf,
                                  const struct server_member *members, size_t count,
                                  struct answer_file *file, const struct server_set *previous);
void server_set_free(struct server_set *s);

/* Stores in each server its index in this set, which has just been published. */
void server_set_assign_ranks(struct server_set *s, uint64_t now);

/* Acquires a slot on the next server: by the policy, first of the regular servers, then of the
 * backups. If no server is usable, a slot on any eligible one, even if it is out after failed
 * connects. below: servers that have fewer sessions than their fair share come before all others.
 * Returns NULL if no slot can be acquired. */
struct server *server_set_pick(struct server_set *s, const struct pick_request *r, bool below);

/* The server that server_set_pick() would return now. Acquires nothing, and does not advance the
 * rotation. */
struct server *server_set_peek(const struct server_set *s, const struct pick_request *r,
                               bool below);

/* Updates the order after a change of srv. */
void server_set_changed(struct server_set *s, const struct server *srv, uint64_t now);

/* Whether any server is usable, full or not. */
bool server_set_is_usable(const struct server_set *s, uint64_t now);

/* Whether srv is in one of the ranks of this set. */
bool server_set_has(struct server_set *s, const struct server *srv);

/* Updates the order for servers that time changes: shares grow, and a server that was taken out may
 * be probed. Returns when to call this next, in ms, or UINT64_MAX. */
uint64_t server_set_review(struct server_set *s, uint64_t now);

#endif
