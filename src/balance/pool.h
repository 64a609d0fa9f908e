/* The servers of a pool and the policy that chooses among them. Shared by all workers.
 *
 * A pool outlives configurations: it is updated when a new one, or an answer to a name, brings
 * other servers, and those that stay keep their sessions, health and counters. Workers see the
 * servers through an immutable set that is replaced whole (server_set.h).
 *
 * Threads: pool_pick(), pool_release(), pool_connected() and pool_connect_failed() and the waiting
 * are for any thread; all else is for the control thread.
 */
#ifndef ZPROXY_BALANCE_POOL_H
#define ZPROXY_BALANCE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "balance/answer_file.h"
#include "balance/policy.h"
#include "balance/queue.h"
#include "balance/server.h"
#include "balance/server_list.h"
#include "base/grace.h"
#include "config/config.h"

struct pool;

/* What a pool tells the control thread that owns it; from that thread where nothing else is said.
 */
struct pool_events {
    uint64_t (*now)(void *arg); /* ms */
    /* Its servers are others now. */
    void (*changed)(void *arg, struct pool *p);
    /* pool_tidy() has something to do, before long. From any thread. */
    void (*untidy)(void *arg);
    void *arg;
};

/* conf outlives the pool, or the update that replaces it by the grace period. NULL with errno when
 * out of memory, or when conf->file cannot be opened (EINVAL: not a regular file). */
struct pool *pool_new(const struct config_pool *conf, struct grace *grace,
                      const struct pool_events *events);
/* No session may use the pool any more, and nobody wait. */
void pool_free(struct pool *p);

/* The current settings; good until the thread's next wake-up. */
const struct config_pool *pool_conf(const struct pool *p);
const char *pool_name(const struct pool *p);

/* ---- for sessions ---- */

/* A session uses the pool from here to there, which keeps it in being. */
void pool_ref(struct pool *p);
void pool_unref(struct pool *p);
uint64_t pool_sessions(const struct pool *p);

/* A session has failed for the pool's sake; and how many have. */
void pool_count_failure(struct pool *p);
uint64_t pool_failures(const struct pool *p);

enum pool_refusal {
    POOL_NO_SERVER, /* no server is usable */
    POOL_FULL,      /* those that are usable are full */
};

/* The next server with a place for a session, by the pool's policy; backups only when no other can
 * be had; servers taken out by failed connects when nobody else is usable. The place is taken: give
 * it back with pool_release(). NULL, and *lack tells why, when there is none. */
struct server *pool_pick(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal);

/* Which one pool_pick() would give just now: no place is taken, and nobody's turn passes. */
struct server *pool_peek(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal);

/* Gives a place back, or hands it to the session that has waited longest. */
void pool_release(struct pool *p, struct server *srv, uint64_t now);

/* What came of a connect: a session has reached the server, or has not. */
void pool_connected(struct pool *p, struct server *srv, uint64_t now);
void pool_connect_failed(struct pool *p, struct server *srv, uint64_t now);
/* The server has refused a client whose address it saw: a failed connect once it has refused
 * another one as well. client: a hash of the address, not 0. */
void pool_connect_refused(struct pool *p, struct server *srv, uint64_t client, uint64_t now);
/* Neither: the client left first, or the failure says nothing about the server. */
void pool_connect_cancelled(struct pool *p, struct server *srv, uint64_t now);

/* Whether the pool has one server alone that new sessions may be sent to, tried or not. */
bool pool_has_single_server(const struct pool *p);

/* Remembers that srv has been tried; *tried is NULL at first and freed by the caller. Returns 0 or
 * -ENOMEM. */
int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct server *srv);

/* Waits for a place, first come, first served. Returns 0 when w waits, and w->tried stays as it is
 * meanwhile; 1 when a place came free just now: it is *srv, and w does not wait; -EAGAIN when as
 * many wait as may; -ENOENT when there is nobody to wait for. When that comes later w is in its
 * inbox without a place. */
int pool_enqueue(struct pool *p, struct waiter *w, uint64_t key, uint64_t now, struct server **srv);
/* Waits no longer. A place that has been granted meanwhile goes to the next. */
void pool_cancel(struct pool *p, struct waiter *w, uint64_t now);
uint64_t pool_waiting(const struct pool *p);

/* Where to go when no server of this pool can be had; NULL: nowhere. */
struct pool *pool_fallback(const struct pool *p);

/* The file that is this pool's answer; NULL: it has servers. */
struct answer_file *pool_file(const struct pool *p);

/* ---- for the control thread ---- */

/* Prepares new settings and servers; what name answers there were stays for the same names. Returns
 * 0, or -errno: then nothing was prepared. A prepared update is committed, which cannot fail, or
 * abandoned, before anything else changes the pool's servers. */
struct pool_update;
/* Whether the file of such a pool could be had: 0 or -errno. */
int pool_check_file(const struct config_pool *conf);
int pool_prepare(struct pool *p, const struct config_pool *conf, struct pool_update **update);
void pool_commit(struct pool_update *update);
void pool_abort(struct pool_update *update);

/* Puts the addresses of conf->server[server], a name, in force. Returns 1 when the servers have
 * changed, 0 when they are as they were, or -errno and nothing has changed. */
int pool_resolved(struct pool *p, size_t server, const struct pool_answer *answers, size_t count);

/* What the user wants of a server, until the configuration says something else of it than it does
 * now. weight: 1..256. */
void pool_set_state(struct pool *p, struct server *srv, enum config_state state, uint64_t now);
void pool_set_weight(struct pool *p, struct server *srv, unsigned weight, uint64_t now);

/* Adds a server that the configuration does not have; its line has an address, no name to be
 * resolved. It stays until it is removed, or until a configuration has a server of this name or
 * address. Returns 0, -EEXIST when there is such a server, -EINVAL when the pool's answer is a
 * file, or -ENOMEM. */
int pool_add_server(struct pool *p, const struct config_server *line);
/* Removes one that was added so; its sessions go on. Returns 0, -ENOENT when it was not, -ENOMEM.
 */
int pool_del_server(struct pool *p, const struct server *srv);
bool pool_was_added(const struct pool *p, const struct server *srv);

/* The answers in force for conf->server[server], a name. */
const struct pool_answer *pool_answers(const struct pool *p, size_t server, size_t *count);

/* The server in use at that address, by that name if there is more than one; NULL: none. */
struct server *pool_find(const struct pool *p, const struct addr *at, const char *name);

/* For a session that another process has handed over: a place on the server it is on, taken
 * whatever the limits; one that has left the pool meanwhile is kept for it. NULL when out of
 * memory. */
struct server *pool_adopt(struct pool *p, const struct addr *at, const char *name);

/* Servers' states or weights were set by other means than the functions here: has the policy go by
 * them from now on. Before any worker uses the pool. Returns 0 or -ENOMEM. */
int pool_rebuild(struct pool *p);

/* Where sessions go when this pool has no server for them; NULL: nowhere. */
void pool_set_fallback(struct pool *p, struct pool *fallback);

/* The verdict of a check. Returns whether that was news. */
bool pool_set_up(struct pool *p, struct server *srv, bool up, uint64_t now);

/* The servers in use, regular and backup, in the configuration's order. Good until the next
 * update. */
struct server *const *pool_servers(const struct pool *p, size_t *count);
bool pool_is_backup(const struct pool *p, const struct server *srv);

/* Puts servers where their state says, frees those that have left and have no session, has those
 * who wait try who was taken out. Returns whether it should be called again, after some hundred ms.
 */
bool pool_tidy(struct pool *p);

/* Whether pool_free() is allowed: no session, nothing that a worker can still see. */
bool pool_is_idle(const struct pool *p);

#endif
