/* Keys and their values, as they come: into the section being read, or into its defaults. */
#ifndef ZPROXY_CONFIG_LOAD_KEY_H
#define ZPROXY_CONFIG_LOAD_KEY_H

#include "config/load.h"

/* Gives every key of the section that has just begun its default. */
void load_key_defaults(struct load *l);

/* "key = text" of a section, or of [defaults]. */
void load_key_value(struct load *l, struct location at, const struct key *k, const char *text);
void load_key_default(struct load *l, struct location at, const char *key, const char *text);

/* Calls item for each part of "a, b, c", or once where the key takes no commas, when variables of
 * the environment in it have been replaced. Returns whether they could be; that is reported. */
typedef void load_key_item_fn(struct load *l, const struct key *k, struct location at,
                              const char *text);
bool load_key_each_item(struct load *l, const struct key *k, struct location at, const char *text,
                        load_key_item_fn *item);

#endif
