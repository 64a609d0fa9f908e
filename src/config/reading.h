/* Where reading has got to: in which file and section, and how errors speak of it. */
#ifndef ZPROXY_CONFIG_READING_H
#define ZPROXY_CONFIG_READING_H

#include <stdbool.h>

#include "config/load.h"

struct place reading_here(const struct load *l, unsigned line);

/* The section being read: its kind, its structure, where all of it was written. */
const struct section *reading_section(const struct load *l);
void *reading_at(const struct load *l);
struct origin *reading_origin(const struct load *l);
/* What stands between its brackets; NULL where there are none. */
const char *reading_label(const struct load *l, char buf[KEYS_LABEL_MAX]);
/* Whether a key of section s may stand here. */
bool reading_takes(const struct load *l, const struct section *s, const struct key *k);

/* Errors of the section being read. key may be NULL. */
void reading_error(const struct load *l, struct place at, const char *key, const char *what);
void reading_twice(const struct load *l, struct place at, const char *key, struct place first);
/* There is no memory: what has been read is not to be used. */
void reading_exhausted(struct load *l);

#endif
