/* A pool: its servers, the policy that chooses among them, and the sessions that wait for a slot.
 *
 * A pool outlives configurations. An update, by a reload or by new addresses of a name, replaces
 * its servers; servers that stay keep their sessions, health and counters. Workers see the servers
 * through an immutable set (server_set.h) that an update replaces.
 *
 * The control thread owns the pool. Sessions call the functions under "for sessions" from any
 * thread; all others are for the control thread.
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
#include "balance/table.h"
#include "base/grace.h"
#include "config/config.h"

struct pool;

/* Callbacks of the pool. Called on the control thread, unless noted. */
struct pool_events {
    uint64_t (*now)(void *arg); /* ms */
    /* The pool has other servers than before. */
    void (*changed)(void *arg, struct pool *p);
    /* pool_tidy() must be called soon. From any thread. */
    void (*untidy)(void *arg);
    void *arg;
};

/* Allocates a pool. conf outlives the pool or, after an update that replaces conf, the grace
 * period. Returns NULL with errno set when out of memory, or if conf->file cannot be opened
 * (EINVAL: not a regular file). */
struct pool *pool_new(const struct config_pool *conf, struct grace *grace,
                      const struct pool_events *events);
/* pool_is_idle() must be true, and no session may wait. */
void pool_free(struct pool *p);

/* ---- for sessions ---- */

/* The current settings, valid until the thread's next wake-up. */
const struct config_pool *pool_conf(const struct pool *p);
const char *pool_name(const struct pool *p);

/* A session uses the pool until it calls pool_unref(); the pool is not freed meanwhile. */
void pool_ref(struct pool *p);
void pool_unref(struct pool *p);
uint64_t pool_sessions(const struct pool *p);

/* Counts a session that failed because of the pool. */
void pool_count_failure(struct pool *p);
uint64_t pool_failures(const struct pool *p);

enum pool_refusal {
    POOL_NO_SERVER, /* no server is usable */
    POOL_FULL,      /* the usable servers are full, or a session that waits comes first */
    POOL_DOWN,      /* no server is usable, and queue_when = down: the session may wait */
    POOL_PAUSED,    /* the session may wait until the pool is resumed */
};

/* Acquires a slot on the next server by the pool's policy. Backups are picked only if no regular
 * server can be acquired, servers that are out after failed connects only if no other is usable.
 * The caller calls pool_release(). Returns NULL and *refusal if no server can be acquired. */
struct server *pool_pick(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal);

/* Returns the server that pool_pick() would return now. Acquires no slot, and does not advance the
 * rotation. */
struct server *pool_peek(struct pool *p, const struct pick_request *r, enum pool_refusal *refusal);

/* Releases a slot, or passes it to the session that has waited longest. */
void pool_release(struct pool *p, struct server *srv, uint64_t now);

/* The result of a connect, for the passive checks. */
void pool_connected(struct pool *p, struct server *srv, uint64_t now);
void pool_connect_failed(struct pool *p, struct server *srv, uint64_t now);
/* The server refused a client whose address it sees. Counts as a failed connect if the server has
 * refused another client as well. client: a hash of the address, not 0. */
void pool_connect_refused(struct pool *p, struct server *srv, uint64_t client, uint64_t now);
/* How long a connect took, in µs, or failed to take, for balance = least_time. Without effect for
 * other policies. */
void pool_connect_took(struct pool *p, struct server *srv, uint64_t us, bool failed, uint64_t now);
/* The session ended before the connect did, after us µs. Counts only if that is above the average,
 * as the connect would have taken longer. */
void pool_connect_abandoned(struct pool *p, struct server *srv, uint64_t us, uint64_t now);
/* The average of these times, µs; 0: unknown, or not kept. */
uint64_t pool_connect_time(const struct pool *p, const struct server *srv);
/* The client left first, or the failure is not the server's. */
void pool_connect_cancelled(struct pool *p, struct server *srv, uint64_t now);

/* Whether exactly one server of the pool is eligible. */
bool pool_has_single_server(const struct pool *p);

/* Adds srv to *tried, which is NULL at first; the caller frees it. Returns 0 or -ENOMEM. */
int pool_mark_tried(const struct pool *p, struct pool_tried **tried, const struct server *srv);

/* Whether sessions wait while no server is usable: queue_when = down, and a configuration has the
 * pool. */
bool pool_waits_when_down(const struct pool *p);
/* Whether new sessions wait until the pool is resumed. */
bool pool_is_paused(const struct pool *p);
/* Whether it is paused and a reload has set max_queue to 0: new sessions cannot wait. */
bool pool_is_closed(const struct pool *p);

/* Queues w for a slot; the caller has set its inbox, tried, since, key and again. Returns 0:
 * queued, w->tried must not change meanwhile; 1: a slot on *srv was acquired, w is not queued;
 * -EAGAIN: queue full; -ENOENT: no eligible server that w has not tried, and the session may not
 * wait. If the last such server goes later, w arrives in its inbox with granted == NULL. *srv must
 * be NULL. */
int pool_enqueue(struct pool *p, struct waiter *w, uint64_t now, struct server **srv);
/* Ends the wait. A slot that was granted meanwhile goes to the next waiting session. */
void pool_cancel(struct pool *p, struct waiter *w, uint64_t now);
uint64_t pool_waiting(const struct pool *p);

/* The pool to use if no server of this one can be acquired; NULL: none. */
struct pool *pool_fallback(const struct pool *p);

/* The file that is sent to each client instead; NULL: the pool has servers. */
struct answer_file *pool_file(const struct pool *p);

/* ---- for the control thread ---- */

/* Whether the file of a pool with "file" can be opened: 0 or -errno. */
int pool_check_file(const struct config_pool *conf);
/* Prepares new settings and servers; addresses of names that stay are kept. Returns 0, or -errno
 * and *update is not set. The caller commits a prepared update, which cannot fail, or aborts it,
 * before it changes the pool's servers in another way. */
struct pool_update;
int pool_prepare(struct pool *p, const struct config_pool *conf, struct pool_update **update);
void pool_commit(struct pool_update *update);
void pool_abort(struct pool_update *update);

/* Sets the addresses of the name in conf->server[server]. Returns 1 if the servers changed, 0 if
 * they are the same, or -errno and nothing changed. */
int pool_resolved(struct pool *p, size_t server, const struct pool_answer *answers, size_t count);

/* Sets the state or weight (1..256) of a server, until a configuration changes this setting. */
void pool_set_state(struct pool *p, struct server *srv, enum config_state state, uint64_t now);
void pool_set_weight(struct pool *p, struct server *srv, unsigned weight, uint64_t now);

/* Begins or ends a pause. During a pause new sessions wait in the queue; at its end they start.
 * Returns whether this changed the pool. */
bool pool_pause(struct pool *p, bool pause, uint64_t now);
/* Restores the state that another process has handed over. last_usable: pool_last_usable(). */
void pool_restore(struct pool *p, bool paused, uint64_t last_usable);
/* When a server was usable last, in ms; 0: never. A server with checks is usable from the moment
 * when a check finds it up. One without checks is only looked at here, so call this regularly. */
uint64_t pool_last_usable(struct pool *p, uint64_t now);
/* Call when no configuration has the pool any more. Its servers are not checked any more and no
 * command can resume it, so waiting sessions that get no slot now end or go to the fallback. */
void pool_drop(struct pool *p, uint64_t now);

/* Adds a server that is not in the configuration. line has an address, not a name. The server stays
 * until pool_del_server(), or until a configuration has a server with its name or address. Returns
 * 0, -EEXIST if there is such a server, -EINVAL if the pool has a file, or -ENOMEM. */
int pool_add_server(struct pool *p, const struct config_server *line);
/* Removes a server that was added; its sessions go on. Returns 0, -ENOENT if it was not added, or
 * -ENOMEM. */
int pool_del_server(struct pool *p, const struct server *srv);
/* The line, of the configuration or added, with both this name and this address; NULL: none. */
const struct config_server *pool_find_line(const struct pool *p, const char *name,
                                           const struct addr *at);
bool pool_was_added(const struct pool *p, const struct server *srv);

/* The current addresses of the name in conf->server[server]. */
const struct pool_answer *pool_answers(const struct pool *p, size_t server, size_t *count);

/* Finds a server by its address, and by its name if several have this address. */
struct server *pool_find(const struct pool *p, const struct addr *at, const char *name);

/* Adds the sessions on the servers of that name or address to *sessions, also on those that the
 * pool no longer has. Returns false if a server was removed a moment ago and may be missing. */
bool pool_count_sessions(const struct pool *p, const char *server, uint64_t *sessions);

/* For a session from another process: acquires a slot on its server regardless of limits. If the
 * pool no longer has the server, one is kept for the session. Returns NULL when out of memory. */
struct server *pool_adopt(struct pool *p, const struct addr *at, const char *name);

/* Makes the policy use states and weights that were stored in the servers directly. Must be called
 * before a worker uses the pool. Returns 0 or -ENOMEM. */
int pool_rebuild(struct pool *p);

/* fallback: may be NULL. */
void pool_set_fallback(struct pool *p, struct pool *fallback);

/* Sets the result of the active checks. Returns whether it changed. */
bool pool_set_up(struct pool *p, struct server *srv, bool up, uint64_t now);

/* The servers, regular and backup, in the order of the configuration. Valid until the next update.
 */
struct server *const *pool_servers(const struct pool *p, size_t *count);
bool pool_is_backup(const struct pool *p, const struct server *srv);
/* Whether a server that gets sessions is in slow start. */
bool pool_is_slow_starting(const struct pool *p, uint64_t now);

/* Whether new sessions go first to servers that have fewer sessions than server_set_fair() gave
 * them. */
void pool_prefer_below_share(struct pool *p, bool prefer);

/* The fingerprints of the servers: table.h. */
struct table pool_table(const struct pool *p);

/* Publishes a new set if states changed, frees removed servers that have no session, and lets
 * waiting sessions probe servers whose time out is over. Returns true if it must be called again,
 * in some 100 ms. */
bool pool_tidy(struct pool *p);

/* Whether pool_free() is allowed: no session uses the pool, and no worker sees a part of it. */
bool pool_is_idle(const struct pool *p);

#endif
