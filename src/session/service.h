/* What all sockets and sessions of one [listen] section share, over all workers. */
#ifndef ZPROXY_SESSION_SERVICE_H
#define ZPROXY_SESSION_SERVICE_H

#include "balance/pool.h"
#include "config/config.h"
#include "relay/sock.h"
#include "session/gate.h"

struct service {
    const struct config_listen *conf; /* the configuration outlives it */
    struct pool *pool;
    struct gate *all; /* max_connections of the process */
    struct gate own;  /* max_connections of this listener */
    struct sock_options options;
};

/* wake(arg) as for gate_init(). */
void service_init(struct service *s, const struct config_listen *conf, struct pool *pool,
                  struct gate *all, void (*wake)(void *arg), void *arg);

#endif
