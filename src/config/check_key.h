/* Keys that are of no use beside others of their section. */
#ifndef ZPROXY_CONFIG_CHECK_KEY_H
#define ZPROXY_CONFIG_CHECK_KEY_H

#include "config/load.h"

/* Whether the i-th section of a kind gives the key itself. */
bool check_key_given(const struct load *l, enum section_kind kind, size_t i, const char *key);

/* An error of a key, where it was given, or at its section. */
void check_key_report(const struct load *l, enum section_kind kind, size_t i, const char *key,
                      const char *what);

/* The key is of no use there, since `why`. Given, and not at its default, it is an error: it would
 * be ignored in silence. From [defaults], it was meant for others, and gets its own default back:
 * so what config_print() writes has no such errors. */
void check_key_unused(const struct load *l, enum section_kind kind, size_t i, const struct key *k,
                      const char *why);
void check_key_unused_named(const struct load *l, enum section_kind kind, size_t i, const char *key,
                            const char *why);

#endif
