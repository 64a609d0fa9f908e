/* From one configuration to the next: prepared whole, which can fail and changes nothing, then
 * committed at once. The first one, at the start, is such a change as well. */
#ifndef ZPROXY_CONTROL_CONFIG_CHANGE_H
#define ZPROXY_CONTROL_CONFIG_CHANGE_H

#include <stdio.h>

#include "control/runtime.h"

struct config_change;

/* What cannot change while a process runs is, in one that takes over from another, as its own file
 * says, whatever the configuration that it takes over has: exchanges these values. Privileges are
 * not among them, since they come from the other one. */
void config_change_swap_fixed(struct config *conf, struct config *own);

/* Finds out what is in the way of a configuration as far as that can be known without touching
 * anything but memory: no socket, thread, file or question is opened, made or asked. Returns 0; or
 * -1 after having written to errors, a line each, what is. */
int config_change_preview(struct runtime *rt, const struct config *conf, FILE *errors);

/* Plans the same way, then binds sockets, makes workers and pools, and listens last. Takes conf
 * over, also on failure. Returns 0; or -1 after having written to errors what is in the way: then
 * no client has come to anything that was opened. */
int config_change_prepare(struct runtime *rt, struct config *conf, FILE *errors,
                          struct config_change **config_change);

/* Puts it in force. */
void config_change_commit(struct config_change *c);

/* Whether a configuration that is kept may still send somebody to a pool that was dropped. */
bool config_change_uses_pool(const struct runtime *rt, const struct pool *p);

/* Frees configurations that nobody keeps any more. Returns whether there are others but the one in
 * force. */
bool config_change_cleanup(struct runtime *rt);

#endif
