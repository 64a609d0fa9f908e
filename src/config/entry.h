/* Keys and their values, as they come: into the section being read, or into its defaults. */
#ifndef ZPROXY_CONFIG_ENTRY_H
#define ZPROXY_CONFIG_ENTRY_H

#include "config/load.h"

/* Gives every key of the section that has just begun its default. */
void entry_defaults(struct load *l);

/* "key = text" of a section, or of [defaults]. */
void entry_read(struct load *l, struct place at, const struct key *k, const char *text);
void entry_read_default(struct load *l, struct place at, const char *key, const char *text);

/* Calls item for each part of "a, b, c", or once where the key takes no commas, when variables of
 * the environment in it have been replaced. Returns whether they could be; that is reported. */
typedef void entry_item_fn(struct load *l, const struct key *k, struct place at, const char *text);
bool entry_each(struct load *l, const struct key *k, struct place at, const char *text,
                entry_item_fn *item);

#endif
