/* The step from one configuration to the next: everything that can fail is prepared first and
 * changes nothing; the commit cannot fail. The first configuration, at the start, is such a change
 * too. For the control thread. */
#ifndef ZPROXY_CONTROL_CONFIG_CHANGE_H
#define ZPROXY_CONTROL_CONFIG_CHANGE_H

#include <stdio.h>

#include "control/runtime.h"

struct config_change;

/* For the new process of a handover: exchanges the values that a reload cannot change, so that
 * conf, received from the old process, has those of own, the process's file. Except user, group and
 * chroot: the process has inherited its privileges. */
void config_change_swap_fixed(struct config *conf, struct config *own);

/* Checks whether a change to conf would succeed, as far as possible without opening sockets,
 * starting threads or querying name servers. Reads certificates: conf has its TLS contexts then.
 * Returns 0; or -1 after printing each error as a line to errors. */
int config_change_preview(struct runtime *rt, struct config *conf, FILE *errors);
/* Frees conf with its TLS contexts. */
void config_change_preview_end(struct config *conf);

/* Checks the same, then binds sockets, makes workers and pools, and calls listen(2) last. Takes
 * ownership of conf, also on failure. Returns 0; or -1 after printing the errors: then no client
 * has connected to a new socket. */
int config_change_prepare(struct runtime *rt, struct config *conf, FILE *errors,
                          struct config_change **config_change);

/* Puts the new configuration in force and frees the change. */
void config_change_commit(struct config_change *c);

/* Whether sessions of an older configuration may still be sent to a pool that was dropped. */
bool config_change_uses_pool(const struct runtime *rt, const struct pool *p);

/* Frees older configurations that are not used any more, and workers that have finished. Returns
 * whether some of either are left. */
bool config_change_cleanup(struct runtime *rt);

#endif
