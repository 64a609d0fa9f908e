/* Health checks at work in the process: the servers of the configuration in force are checked, and
 * the sessions of those that went down end where the pool wants it. */
#ifndef ZPROXY_CONTROL_HEALTH_CHECKS_H
#define ZPROXY_CONTROL_HEALTH_CHECKS_H

#include "control/runtime.h"

/* Begins, with no pool yet. Returns 0 or -errno. */
int health_checks_open(struct runtime *rt);
/* Ends all checks, before the loop ends; may be called twice. */
void health_checks_close(struct runtime *rt);

/* The pool, and its settings, are in force; the settings outlive that. From then on changes of its
 * servers are followed. */
void health_checks_sync(struct runtime *rt, struct pool *p);

/* The pool is not in force any more. */
void health_checks_remove(struct runtime *rt, const struct pool *p);

#endif
