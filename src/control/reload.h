/* Reads the configuration file again and puts it in force, or reports its errors. For the control
 * thread. */
#ifndef ZPROXY_CONTROL_RELOAD_H
#define ZPROXY_CONTROL_RELOAD_H

#include "control/runtime.h"

/* Reloads rt->file. Returns 1; 0: the configuration is the same; or -1: it was refused. *text has a
 * line for each change or error; the caller must free it; NULL: out of memory. The log and the
 * service manager are informed.
 */
int reload_file(struct runtime *rt, char **text);

/* Reloads rt->file if conf, its content of a moment ago, differs from the configuration in force.
 */
void reload_if_changed(struct runtime *rt, const struct config *conf);

/* Removes the failure of the last reload from the list of problems. */
void reload_clear_failure(struct runtime *rt);

/* Lists what reload_file() would change if this were its file, moved to the path `place` before;
 * NULL: not moved. Results as reload_file(). */
int reload_preview(struct runtime *rt, const char *file, const char *place, char **text);

#endif
