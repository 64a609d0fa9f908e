/* Checks of a loaded configuration: what its keys mean together. */
#ifndef ZPROXY_CONFIG_CHECK_H
#define ZPROXY_CONFIG_CHECK_H

#include <stdbool.h>
#include <stddef.h>

#include "config/load.h"

/* Connects listeners and routes to their pools, and pools to their fallbacks. Reports names that
 * are missing or given twice, addresses bound twice, keys without effect, and loops. */
void check_config(const struct load *l);

/* Reports users, groups and interfaces that do not exist on this machine, algorithms of congestion
 * control that cannot be used, and files of pools that cannot be read. */
void check_machine(const struct load *l);

/* --- Parts of check_config() --- */

/* check_keys.c: reports keys that the i-th listener or pool lacks, and keys without effect beside
 * its other keys. A key without effect that [defaults] gave is no error: it is set to its own
 * default. */
void check_listen(const struct load *l, size_t i);
void check_pool(const struct load *l, size_t i);

/* check_keys.c: reports fallbacks that form a loop. Returns false when out of memory. */
bool check_fallbacks(const struct load *l);

/* check_bind.c: reports addresses bound twice, and servers that lead back to a listener of their
 * own pool. Returns false when out of memory. */
bool check_binds(const struct load *l);

#endif
