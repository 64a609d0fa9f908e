/* What all sockets and sessions of one [listen] section of one configuration share, over all
 * workers. A session keeps the one it began with.
 */
#ifndef ZPROXY_SESSION_SERVICE_H
#define ZPROXY_SESSION_SERVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "balance/pool.h"
#include "config/config.h"
#include "relay/sock.h"
#include "session/access.h"
#include "session/end.h"
#include "session/end_counts.h"
#include "session/entrance.h"
#include "session/gate.h"
#include "session/quota.h"
#include "session/route.h"

struct service {
    const struct config_listen *conf; /* the configuration outlives it */
    struct pool *pool;
    struct gate *all; /* max_connections of the process */
    struct entrance *entrance;
    struct sock_options options;
    struct access *access;       /* who may come in; NULL: everybody */
    struct access *trusted;      /* whose PROXY header is believed; NULL: none is expected */
    struct quota *quota;         /* of each client address; NULL: no limit */
    struct route *routes;        /* of conf->route[i] */
    struct end_counts_of *ended; /* of all pools that its clients can reach */
    size_t ended_count;
    bool wants_hello; /* routes, or a pool's hash, go by what a TLS client says */
    _Atomic uint64_t sessions;
};

/* The options of the sockets of a [listen] section. */
struct sock_options service_options(const struct config_listen *c);

/* Finds the pool of a route. */
typedef struct pool *service_find_fn(const void *pools, const char *name);

/* Takes the use of the entrance over. Returns 0, or -ENOMEM: then service_fini() is due as well. */
int service_init(struct service *s, const struct config_listen *conf, struct gate *all,
                 struct entrance *entrance, service_find_fn *find, const void *pools);
/* It may be all zeros. */
void service_fini(struct service *s);

/* The configuration is in force: limits of clients are those of its section from now on, ms. */
void service_take_effect(struct service *s, uint64_t now);

/* Whether this client may have a session: SESSION_END_NONE, and it is counted until
 * service_dismiss(); or why not. */
enum session_end service_admit(struct service *s, const struct addr_peer *client, uint64_t now);
void service_dismiss(struct service *s, const struct addr_peer *client, uint64_t now);

/* Takes the places that a session needs, to be given back by service_leave(); or says no: there
 * will be a wake. */
bool service_enter(struct service *s);
/* Why it said no. */
enum accept_reason service_shut_by(const struct service *s);
/* For a session that has them already, in the process that it comes from. */
void service_force(struct service *s);
/* Nobody came, after all. */
void service_retreat(struct service *s);

/* A client has come in; its session, or what would have been one, has ended: for this reason, in
 * this pool; and it gives its places back. */
void service_count(struct service *s);
void service_count_end(const struct service *s, const struct pool *p, enum session_end why);
void service_leave(struct service *s, enum session_end why);

/* No session keeps it any more. */
bool service_is_idle(const struct service *s);

#endif
