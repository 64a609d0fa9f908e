/* Where keys were written, for errors that are found only when a configuration is put into force:
 * of the keys whose files are read then, "tls_...". */
#ifndef ZPROXY_CONFIG_PLACE_H
#define ZPROXY_CONFIG_PLACE_H

#include <stddef.h>

#include "config/config.h"
#include "config/load.h"

/* Notes the places of all such keys. Returns false when out of memory. */
bool place_note(const struct load *l);

/* "FILE:LINE: " of the item-th value of a key in the i-th section of a kind; "": not known. */
const char *place_find(const struct config *c, enum section_kind kind, size_t i, const char *key,
                       size_t item);

void place_free(struct config *c);

#endif
