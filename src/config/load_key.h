/* Loading of keys: from "key = text" to values, in a section or in [defaults]. */
#ifndef ZPROXY_CONFIG_LOAD_KEY_H
#define ZPROXY_CONFIG_LOAD_KEY_H

#include "config/load.h"

/* Sets every key of the section that has just begun to its default. */
void load_key_defaults(struct load *l);

/* Reads "key = text" of a section. */
void load_key_value(struct load *l, struct location at, const struct key *k, const char *text);
/* Reads "key = text" of [defaults]. */
void load_key_default(struct load *l, struct location at, const char *key, const char *text);

/* Expands the variables in text, then calls item() for each part of "a, b, c", or once if the key
 * allows no commas. Returns false if a variable could not be expanded, which is reported. */
typedef void load_key_item_fn(struct load *l, const struct key *k, struct location at,
                              const char *text);
bool load_key_each_item(struct load *l, const struct key *k, struct location at, const char *text,
                        load_key_item_fn *item);

#endif
