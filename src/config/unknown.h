/* Sections and keys that do not exist, or not here. */
#ifndef ZPROXY_CONFIG_UNKNOWN_H
#define ZPROXY_CONFIG_UNKNOWN_H

#include "config/load.h"

/* Report one, with the place it belongs in, the nearest name that exists, or all of them. A
 * section's title is what stands between its brackets, its type the first word of that. */
void unknown_section(const struct load *l, struct location at, const char *title, const char *type);
void unknown_key(const struct load *l, struct location at, const char *key);

#endif
