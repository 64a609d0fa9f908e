/* Names of servers: the resolver of the process, and how long the start waits for it. */
#ifndef ZPROXY_CONTROL_NAMES_H
#define ZPROXY_CONTROL_NAMES_H

#include <stdbool.h>
#include <stdio.h>

#include "config/config.h"
#include "control/runtime.h"

/* Whether this build can do what conf asks for. If not, says so as a line "FILE: [section] key:
 * what" to errors. */
bool names_are_resolvable(const struct config *conf, const char *file, FILE *errors);

/* Makes the resolver, if conf has names and there is none. To be called while resolv.conf can still
 * be read (chroot). Returns 0 or -errno. */
int names_prepare(struct runtime *rt, const struct config *conf);

/* The configuration in force is another one: looks up its names. */
void names_follow(struct runtime *rt);

/* Before the pool is freed. */
void names_forget(struct runtime *rt, const struct pool *p);

/* Runs the loop until every name has had its first answer or failure, but 5 seconds at most. */
void names_wait(struct runtime *rt);
void names_wait_no_longer(struct runtime *rt);

/* Ends all look-ups, before the loop ends; may be called twice. */
void names_close(struct runtime *rt);

#endif
