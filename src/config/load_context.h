/* Where reading has got to: in which file and section, and how errors speak of it. */
#ifndef ZPROXY_CONFIG_LOAD_CONTEXT_H
#define ZPROXY_CONFIG_LOAD_CONTEXT_H

#include <stdbool.h>

#include "config/load.h"

struct location load_here(const struct load *l, unsigned line);

/* The section being read: its kind, its structure, where all of it was written. */
const struct section *load_current_section(const struct load *l);
void *load_current_data(const struct load *l);
struct origin *load_current_origin(const struct load *l);
/* What stands between its brackets; NULL where there are none. */
const char *load_current_label(const struct load *l, char buf[KEYS_LABEL_MAX]);
/* Whether a key of section s may stand here. */
bool load_accepts_key(const struct load *l, const struct section *s, const struct key *k);

/* Errors of the section being read. key may be NULL. */
void load_report(const struct load *l, struct location at, const char *key, const char *what);
void load_report_duplicate(const struct load *l, struct location at, const char *key,
                           struct location first);
/* There is no memory: what has been read is not to be used. */
void load_report_no_memory(struct load *l);

#endif
