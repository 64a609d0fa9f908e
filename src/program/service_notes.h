/* Notes of zproxy -t on what a service of systemd sees and may read of a configuration that root
 * checks in a shell. */
#ifndef ZPROXY_PROGRAM_SERVICE_NOTES_H
#define ZPROXY_PROGRAM_SERVICE_NOTES_H

#include <stdio.h>

#include "config/config.h"

/* Writes "note: ..." for each path that the unit of zproxy hides, where systemd runs; and for each
 * file that the later user cannot read. file: the configuration, which has been loaded as conf. */
void service_notes_print(const struct config *conf, const char *file, FILE *out);

#endif
