/* Health checks of the process: checks the servers of the configuration in force, and closes the
 * sessions of a server that went down if its pool has on_down = close. For the control thread.
 */
#ifndef ZPROXY_CONTROL_HEALTH_CHECKS_H
#define ZPROXY_CONTROL_HEALTH_CHECKS_H

#include "control/runtime.h"

/* Starts without a pool. Returns 0 or -errno. */
int health_checks_open(struct runtime *rt);
/* Ends all checks. Must be called before the loop is closed; a second call does nothing. */
void health_checks_close(struct runtime *rt);

/* Starts or adapts the checks of the pool by its present settings, which must outlive the checks.
 * Later changes of the pool's servers need no call. */
void health_checks_sync(struct runtime *rt, struct pool *p);

/* Must be called when the pool is not in force any more. */
void health_checks_remove(struct runtime *rt, const struct pool *p);

#endif
