/* The answer of /healthz: whether a load balancer or router in front of zproxy should send new
 * clients here. For the control thread.
 *
 * A listener can serve if a pool that its clients can reach, by a route or as a fallback, has a
 * usable server or a file. The process is healthy if any listener can serve. If none can, and a
 * server still waits for its first check, or a name for its first answer, the health is
 * HEALTHZ_STARTING.
 *
 * Precedence: an ending process is never healthy. Otherwise the value set by zproxyctl counts, for
 * a listener its own and then that of the process, and then whether clients can be served.
 */
#ifndef ZPROXY_CONTROL_HEALTHZ_H
#define ZPROXY_CONTROL_HEALTHZ_H

#include "control/runtime.h"

enum healthz {
    HEALTHZ_OK,
    HEALTHZ_STARTING,
    HEALTHZ_LEAVING, /* clients are accepted for the rest of shutdown_delay */
    HEALTHZ_DRAINING,
    HEALTHZ_NO_SERVER, /* no usable server and no file for clients */
    HEALTHZ_FAIL,      /* set by zproxyctl */
};

enum healthz healthz_of_process(struct runtime *rt);
/* Returns -ENOENT if the configuration in force has no such listener, -EAGAIN if there is no
 * configuration yet. */
int healthz_of_listener(struct runtime *rt, const char *name, enum healthz *health);
/* Returns the health of each listener of the configuration in force, in its order; the caller frees
 * the array. NULL when out of memory. */
enum healthz *healthz_of_listeners(struct runtime *rt);

/* Stores whether clients can be served now, for the process and each listener. Call before a reload
 * or an upgrade: servers that wait for their first check afterwards leave that health unchanged. */
void healthz_remember(struct runtime *rt);

/* "ok", "starting", "leaving", "draining", "no server", "fail". */
const char *healthz_name(enum healthz health);

/* "auto", "ok", "fail", by enum health_override; then NULL. */
extern const char *const health_override_words[];

#endif
