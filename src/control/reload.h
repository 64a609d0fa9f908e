/* Reads the configuration again and puts it in force, or says why not. */
#ifndef ZPROXY_CONTROL_RELOAD_H
#define ZPROXY_CONTROL_RELOAD_H

#include "control/runtime.h"

/* What came of a reload; *text, one line for each error or change, is the caller's to free. Returns
 * 0, or -1 and nothing has changed. The log and the service manager are told. */
int reload_file(struct runtime *rt, char **text);

/* The same, if the file says other than what is in force; conf is what it said a moment ago. */
void reload_if_changed(struct runtime *rt, const struct config *conf);

/* The reason of the last failure is freed: no problem any more. */
void reload_clear_failure(struct runtime *rt);

/* What reload_file() would change if this were its file. Returns 0, or -1: text says why not. */
int reload_preview(struct runtime *rt, const char *file, char **text);

#endif
