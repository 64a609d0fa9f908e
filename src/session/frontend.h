/* What all sockets and sessions of one [listen] section of one configuration share, over all
 * workers. A session keeps the one it began with.
 */
#ifndef ZPROXY_SESSION_FRONTEND_H
#define ZPROXY_SESSION_FRONTEND_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "balance/pool.h"
#include "config/config.h"
#include "relay/sock.h"
#include "session/access.h"
#include "session/client_quota.h"
#include "session/conn_limit.h"
#include "session/end_counts.h"
#include "session/listener_state.h"
#include "session/route.h"
#include "session/session_end.h"

struct frontend {
    const struct config_listen *conf; /* the configuration outlives it */
    struct pool *pool;
    struct conn_limit *process_limit; /* max_connections of the process */
    struct listener_state *listener_state;
    struct sock_options options;
    struct access *access;             /* who may come in; NULL: everybody */
    struct access *trusted;            /* whose PROXY header is believed; NULL: none is expected */
    struct client_quota *client_quota; /* of each client address; NULL: no limit */
    struct route *routes;              /* of conf->route[i] */
    struct end_counts_entry *ended;    /* of all pools that its clients can reach */
    size_t ended_count;
    bool wants_hello; /* routes, or a pool's hash, go by what a TLS client says */
    _Atomic uint64_t sessions;
};

/* The options of the sockets of a [listen] section. */
struct sock_options frontend_sock_options(const struct config_listen *c);

/* Finds the pool of a route. */
typedef struct pool *frontend_find_pool_fn(const void *pools, const char *name);

/* Takes the use of the entrance over. Returns 0, or -ENOMEM: then frontend_fini() is due as well.
 */
int frontend_init(struct frontend *f, const struct config_listen *conf,
                  struct conn_limit *process_limit, struct listener_state *listener_state,
                  frontend_find_pool_fn *find, const void *pools);
/* It may be all zeros. */
void frontend_fini(struct frontend *f);

/* The configuration is in force: limits of clients are those of its section from now on, ms. */
void frontend_take_effect(struct frontend *f, uint64_t now);

/* Whether this client may have a session: SESSION_END_NONE, and it is counted until
 * frontend_release_client(); or why not. */
enum session_end frontend_admit_client(struct frontend *f, const struct addr_peer *client,
                                       uint64_t now);
void frontend_release_client(struct frontend *f, const struct addr_peer *client, uint64_t now);

/* Takes the places that a session needs, to be given back by frontend_end_session(); or says no:
 * there will be a wake. */
bool frontend_acquire_slot(struct frontend *f);
/* Why it said no. */
enum accept_reason frontend_pause_reason(const struct frontend *f);
/* For a session that has them already, in the process that it comes from. */
void frontend_force_slot(struct frontend *f);
/* Nobody came, after all. */
void frontend_release_slot(struct frontend *f);

/* A client has come in; its session, or what would have been one, has ended: for this reason, in
 * this pool; and it gives its places back. */
void frontend_count_connection(struct frontend *f);
void frontend_count_end(const struct frontend *f, const struct pool *p, enum session_end why);
void frontend_end_session(struct frontend *f, enum session_end why);

/* No session keeps it any more. */
bool frontend_is_idle(const struct frontend *f);

#endif
