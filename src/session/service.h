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
#include "session/end.h"
#include "session/entrance.h"
#include "session/gate.h"

struct service {
    const struct config_listen *conf; /* the configuration outlives it */
    struct pool *pool;
    struct gate *all; /* max_connections of the process */
    struct entrance *entrance;
    struct sock_options options;
    _Atomic uint64_t sessions;
};

/* The options of the sockets of a [listen] section. */
struct sock_options service_options(const struct config_listen *c);

void service_init(struct service *s, const struct config_listen *conf, struct pool *pool,
                  struct gate *all, struct entrance *entrance);

/* Takes the places that a session needs, to be given back by service_leave(); or says no: there
 * will be a wake. */
bool service_enter(struct service *s);
/* For a session that has them already, in the process that it comes from. */
void service_force(struct service *s);
/* Nobody came, after all. */
void service_retreat(struct service *s);

/* A client has come in; its session, or what would have been one, has ended. */
void service_count(struct service *s);
void service_leave(struct service *s, enum session_end why);

/* No session keeps it any more. */
bool service_is_idle(const struct service *s);

#endif
