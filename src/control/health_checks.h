/* Health checks of the process: checks the servers of the configuration in force, and closes the
 * sessions of a server that went down where its pool wants that (on_down). For the control thread.
 */
#ifndef ZPROXY_CONTROL_HEALTH_CHECKS_H
#define ZPROXY_CONTROL_HEALTH_CHECKS_H

#include "control/runtime.h"

/* Starts without a pool. Returns 0 or -errno. */
int health_checks_open(struct runtime *rt);
/* Ends all checks. To be called before the loop ends; a second call does nothing. */
void health_checks_close(struct runtime *rt);

/* Checks the pool by its settings, which are in force now and must outlive the checks. Later
 * changes of its servers are followed. */
void health_checks_sync(struct runtime *rt, struct pool *p);

/* To be called when the pool is not in force any more. */
void health_checks_remove(struct runtime *rt, const struct pool *p);

#endif
