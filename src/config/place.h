/* Where keys were written, for errors that are found only when a configuration is put into force:
 * of the keys whose files are read then, "tls_...". */
#ifndef ZPROXY_CONFIG_PLACE_H
#define ZPROXY_CONFIG_PLACE_H

#include <stddef.h>
#include <stdio.h>

#include "config/config.h"
#include "config/load.h"

/* Notes the places of all such keys, and of their sections. Returns false when out of memory. */
bool place_note(const struct load *l);

/* Whether the i-th section of a kind gives the key itself, not by [defaults]. */
bool place_is_given(const struct config *c, enum section_kind kind, size_t i, const char *key);

/* Replaces the places of a configuration that was printed and read again, for the user does not
 * know that text: by those of `from`, where the section of the same name has the same value; other
 * places are not known then. */
void place_adopt(struct config *c, const struct config *from);

/* Writes an error of the item-th value of a key in the i-th section of a kind, in the form of
 * report_error(), with the place of the key or else of the section. Returns -1. */
int place_report(const struct config *c, enum section_kind kind, size_t i, const char *key,
                 size_t item, FILE *errors, const char *what, ...)
    __attribute__((format(printf, 7, 8)));

void place_free(struct config *c);

#endif
