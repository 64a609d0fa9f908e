/* A frontend: a [listen] section of one configuration at run time. All listening sockets and
 * sessions of the section share it, over all workers. A session keeps the frontend that it began
 * with. Its generation owns it (control/generation.h).
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
    struct access *access;             /* the clients that are allowed; NULL: all */
    struct access *trusted;            /* the proxies that are trusted; NULL: no PROXY header */
    struct client_quota *client_quota; /* limits of each client address; NULL: no limit */
    struct route *routes;              /* of conf->route[i] */
    struct end_counts_entry *ended;    /* of all pools that its clients can reach */
    size_t ended_count;
    bool wants_hello; /* a route or the hash of a pool uses the TLS hello */
    _Atomic uint64_t sessions;
};

/* The options of the sockets of a [listen] section. */
struct sock_options frontend_sock_options(const struct config_listen *c);

/* Finds the pool of a route. */
typedef struct pool *frontend_find_pool_fn(const void *pools, const char *name);

/* Takes ownership of the reference to listener_state. Returns 0 or -ENOMEM; the caller must call
 * frontend_fini() in both cases. */
int frontend_init(struct frontend *f, const struct config_listen *conf,
                  struct conn_limit *process_limit, struct listener_state *listener_state,
                  frontend_find_pool_fn *find, const void *pools);
/* f may be all zeros. */
void frontend_fini(struct frontend *f);

/* Puts the limits of the section in force. now: ms. */
void frontend_take_effect(struct frontend *f, uint64_t now);

/* Checks the access list and the limits of the client. Returns SESSION_END_NONE, and the session
 * counts for the limits until frontend_release_client(); or why the client is refused. */
enum session_end frontend_admit_client(struct frontend *f, const struct addr_peer *client,
                                       uint64_t now);
void frontend_release_client(struct frontend *f, const struct addr_peer *client, uint64_t now);

/* Acquires a slot of max_connections of the listener and of the process. frontend_end_session()
 * releases it. Returns false if there is none; the worker is woken when one is released. */
bool frontend_acquire_slot(struct frontend *f);
/* Why there is no slot. */
enum accept_reason frontend_pause_reason(const struct frontend *f);
/* Acquires a slot even above the limit, for a session that comes by a handover. */
void frontend_force_slot(struct frontend *f);
/* Releases a slot for which no client was accepted. */
void frontend_release_slot(struct frontend *f);

/* Count an accepted client; count the end of its session, or its refusal, in the pool p; release
 * its slot. */
void frontend_count_connection(struct frontend *f);
/* version: of tls_side.h; 0: none was agreed. */
void frontend_count_handshake(struct frontend *f, enum tls_handshake_result result,
                              uint16_t version);
void frontend_count_end(const struct frontend *f, const struct pool *p, enum session_end why);
void frontend_end_session(struct frontend *f, enum session_end why);

/* Whether no session uses the frontend. */
bool frontend_is_idle(const struct frontend *f);

#endif
