/* The servers of a pool at one moment, as workers see them: immutable but for what is atomic.
 *
 * Holds no server: they belong to the pool, which keeps them as long as a set with them may be
 * seen.
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
#include "config/config.h"

/* Servers with an order among them: those in regular use, and the backups. */
enum rank_kind {
    RANK_REGULAR,
    RANK_BACKUP,
    RANKS,
};

struct rank {
    void *state; /* of the policy */
    struct server **servers;
    size_t count;
};

struct server_set {
    const struct config_pool *conf;
    const struct policy_ops *policy;
    struct answer_file *file; /* NULL: there are servers */
    struct rank rank[RANKS];
    size_t count;
    struct server *servers[]; /* all */
};

/* A server, and where it belongs. */
struct server_member {
    struct server *server;
    bool backup;
};

/* previous: the set that this one will replace, whose turn goes on; or NULL. Takes a reference of
 * file over. NULL when out of memory, file is the caller's then. */
struct server_set *server_set_new(const struct config_pool *conf,
                                  const struct server_member *members, size_t count,
                                  struct answer_file *file, const struct server_set *previous);
void server_set_free(struct server_set *s);

/* Tells the servers where they stand in this set, which has just been published. */
void server_set_assign_slots(struct server_set *s, uint64_t now);

/* Acquires a slot on the next server: by the policy, first of the regular servers, then of the
 * backups. If no server is usable, any eligible one, although connects to it failed. Returns NULL
 * if no slot can be acquired. */
struct server *server_set_pick(struct server_set *s, const struct pick_request *r);

/* The server that server_set_pick() would return now. Acquires nothing, and does not advance the
 * rotation. */
struct server *server_set_peek(const struct server_set *s, const struct pick_request *r);

/* Something about srv has changed that may matter to the order. */
void server_set_changed(struct server_set *s, const struct server *srv, uint64_t now);

/* Whether any server is usable, full or not. */
bool server_set_is_usable(const struct server_set *s, uint64_t now);

/* Whether sessions can be sent to srv by this set, as far as its place in it goes. */
bool server_set_has(struct server_set *s, const struct server *srv);

/* Time changes servers too: shares grow, and who was taken out may be tried again. Puts them where
 * that says; returns when to do so next, ms; UINT64_MAX: never. */
uint64_t server_set_review(struct server_set *s, uint64_t now);

#endif
